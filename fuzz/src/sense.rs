// SPDX-License-Identifier: LGPL-2.0-or-later

//! Sense data and statuses: decoding never fails, and its three rules agree where they have to.

use crate::input::Input;
use sg_io::{Reply, ScsiStatus, SenseCode};

/// Decodes one reply by each of the rules.
///
/// # Panics
/// When the rules disagree where they must agree.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let reply: Reply = input.reply();
    let sense = reply.sense;
    let written = sense.bytes();
    assert!(written.len() <= 32);
    let by_response_code = sense.by_response_code();
    let fixed = sense.at_fixed_offsets();
    let by_format_bit = sense.key_by_format_bit();
    for code in [by_response_code, fixed] {
        assert!(code.key.0 <= 0x0f);
    }
    assert_eq!(by_format_bit.is_some(), written.len() > 2);
    match sense.decode() {
        // `by_response_code` requires more: a length, and the VALID bit.
        Some(decoded) => {
            assert!(decoded.code.key.0 <= 0x0f);
            if by_response_code != SenseCode::default() {
                assert_eq!(decoded.code, by_response_code);
            }
            if written.len() > 2 {
                assert_eq!(Some(decoded.code.key), by_format_bit);
            }
            if !decoded.descriptor {
                assert_eq!(decoded.code, fixed);
            }
            is_readable(&decoded.to_string());
        }
        None => assert_eq!(by_response_code, SenseCode::default()),
    }
    // A key is reported only where a status announces sense data.
    for status in [reply.status, reply.status.masked()] {
        let key = reply.reported_key(status);
        assert!(key.is_none() || key == by_format_bit);
        if reply.is_clear(status) {
            assert_eq!(key, None);
        }
    }
    assert!(!reply.may_recover() || reply.needs_check());
    assert_eq!(
        reply.reported_key(ScsiStatus::CHECK_CONDITION),
        by_format_bit
    );
    is_readable(&reply.to_string());
    is_readable(&by_response_code.to_string());
    is_readable(&fixed.to_string());
}

/// One line, of printable characters, and not endless.
pub(crate) fn is_readable(text: &str) {
    assert!(!text.is_empty() && text.len() < 400, "{text:?}");
    assert!(!text.contains(char::is_control), "{text:?}");
}

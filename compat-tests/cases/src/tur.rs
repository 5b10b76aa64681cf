// SPDX-License-Identifier: LGPL-2.0-or-later

//! tur: TEST UNIT READY.

#![forbid(unsafe_code)]

use crate::reply::{Answer, ERRNOS, descriptor_sense, errno, good, host, sense, times};
use crate::table::{Case, Check, Command, Expect, Expected, Table, table};
use crate::verdict::{State, Verdict};

pub(crate) const MESSAGES: &[&str] = &[
    " still running",
    " timed out",
    " failed to initialize",
    " reports path is transitioning",
];

const UP: Verdict = Verdict::UP;
const DOWN: Verdict = Verdict::DOWN;
const GHOST: Verdict = Verdict::GHOST;
const TRANSITIONING: Verdict = Verdict::own(State::Pending, 3);
const DISCONNECTED: Verdict = Verdict::DISCONNECTED;

/// The same codes in either format.
fn in_both_formats(key: u8, asc: u8, ascq: u8) -> [(&'static str, Answer); 2] {
    [
        ("fixed format", sense(key, asc, ascq)),
        ("descriptor format", descriptor_sense(key, asc, ascq)),
    ]
}

pub(crate) fn cases() -> Vec<Case> {
    let mut t = Table::new([Command::test_unit_ready()]);

    for (name, number) in ERRNOS {
        table! { t; name, [errno(number)] => DOWN; }
    }
    table! { t;
        "good", [good()]                                 => UP;
        "no SG_IO", [errno(libc::ENOTTY)]                => Verdict::UNSUPPORTED;
        // Not sent again.
        "two checks", [sense(3, 0, 0)] => DOWN, [good()] => UP;
    }

    // Sense data: key, additional code, qualifier.
    let both = |t: &mut Table, key, asc, ascq, expected: Expected| {
        for (format, answer) in in_both_formats(key, asc, ascq) {
            let name = format!("sense {key:x}/{asc:02x}/{ascq:02x}, {format}");
            table! { t; &name, [answer] => expected.clone(); }
        }
    };
    both(&mut t, 2, 0x04, 0x0b, GHOST.into());
    both(&mut t, 2, 0x04, 0x0a, TRANSITIONING.ledger("T8"));
    both(&mut t, 5, 0x25, 0x00, DISCONNECTED.into());
    for (key, asc, ascq) in [
        (2, 0x04, 0x03),
        (2, 0x04, 0x0c),
        (2, 0x3a, 0x0b),
        (5, 0x25, 0x01),
        (5, 0x20, 0x00),
        (5, 0x04, 0x0b),
        (0, 0x04, 0x0a),
        (1, 0x25, 0x00),
        (3, 0x11, 0x00),
        (0xb, 0x04, 0x0a),
    ] {
        both(&mut t, key, asc, ascq, DOWN.into());
    }

    // Which sense data is understood: response code, and the length that the kernel gives.
    let standby = sense(2, 0x04, 0x0b);
    let descriptor = descriptor_sense(2, 0x04, 0x0b);
    for (answer, code, length, verdict) in [
        (&standby, 0x70, 14, GHOST),
        (&standby, 0x70, 13, DOWN),
        (&standby, 0x70, 0, DOWN),
        (&standby, 0x70, 255, GHOST),
        (&standby, 0x71, 18, GHOST),
        (&standby, 0xf0, 18, GHOST),
        (&standby, 0xf1, 18, GHOST),
        (&standby, 0x74, 18, DOWN),
        (&standby, 0x7f, 18, DOWN),
        (&descriptor, 0x72, 4, GHOST),
        (&descriptor, 0x72, 3, DOWN),
        (&descriptor, 0x73, 8, GHOST),
        (&descriptor, 0xf2, 8, DOWN),
    ] {
        let answer = answer.clone().response_code(code).sense_length(length);
        let name = format!("response code {code:02x}, {length} bytes");
        table! { t; &name, [answer] => verdict; }
    }

    // A reservation conflict is up, whatever else is said.
    for status in [0x18, 0x19, 0x98, 0x99] {
        for (format, answer) in in_both_formats(6, 0x29, 0) {
            let name = format!("reservation conflict {status:02x}, {format}");
            table! { t; &name, [answer.status(status).host(7)] => UP; }
        }
    }
    // So is a command that the kernel does not complain about.
    for info in [0, 2, 4] {
        for (format, answer) in in_both_formats(5, 0x25, 0) {
            let answer = answer.info(info);
            table! { t;
                &format!("summary {info}, {format}"), [answer.clone()]       => UP;
                &format!("summary {info}, host 7, {format}"), [answer.host(7)] => UP;
            }
        }
    }

    // Five attempts where the host status may pass. The sense data of the last one counts.
    for status in 0..=0x20 {
        let attempts = match status {
            0 | 1 | 4 | 5 | 0xf => 1,
            _ => 5,
        };
        let (silent, ghost) = (host(status), standby.clone().host(status));
        table! { t;
            &format!("host {status:02x}"), times(attempts, &silent)            => DOWN;
            &format!("host {status:02x}, standby"), times(attempts, &ghost)    => GHOST;
        }
        if attempts > 1 {
            let name = format!("host {status:02x}, then good");
            table! { t; &name, [silent.clone(), silent, good()] => UP; }
        }
    }
    for (format, attention) in in_both_formats(6, 0x29, 0) {
        let gone = sense(5, 0x25, 0);
        table! { t;
            &format!("unit attention, {format}"), times(5, &attention)              => DOWN;
            &format!("unit attention, then good, {format}"), [attention.clone(), good()] => UP;
            &format!("unit attention, then gone, {format}"), [attention, gone]      => DISCONNECTED;
        }
    }
    let attention = || sense(6, 0x29, 0);
    let changed = sense(6, 0x3f, 0xe);
    table! { t;
        "host 7, 2, then good", [host(7), host(2), good()] => UP;
        // One budget for both reasons to try again.
        "both in turn", [host(7), attention(), host(7), changed, host(0xb)]            => DOWN;
        "both in turn, b", [host(0xb), attention(), host(0xb), attention(), host(0xb)] => DOWN;
        "both in turn, then good", [host(0xb), attention(), host(0xb), attention(), good()] => UP;
        "both at once", times(5, &attention().host(7)) => DOWN.ledger("T1");
    }

    for timeout in [0, 1, 60, 4_294_968, u32::MAX] {
        let name = format!("timeout {timeout}");
        let checks = vec![(Check::from([good()]), Expected::from(UP))];
        t.case(&name, checks).input.timeout = timeout;
    }
    t.cases
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The differences that the ledger allows between the records of the two plugins.
//!
//! Each rule says exactly what this project's plugin must do where upstream's does what the row
//! describes. All else is a mismatch.

#![forbid(unsafe_code)]

use crate::scsi::implementation::Mode;
use crate::scsi::path_log::TAS_LINE;
use crate::scsi::results::Rows;
use crate::scsi::run::{Checked, Record};
use cases::{Answer, Check, Checker, Input, Map, Reply};
use harness::abi::Abi;
use harness::scsi::request::Sent;
use harness::state::State;
use std::ffi::c_short;

/// The operation code of READ(10).
const READ_10: u8 = 0x28;

/// The message of a running check, which 0.15's host sets before it calls a plugin's function.
const RUNNING: c_short = 10;

/// The rows that show in nearly every case of a checker.
pub(crate) const EVERYWHERE: [&str; 7] = ["A3", "A8", "A11", "A12", "A13", "E6", "R6"];

/// What the rules depend on.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) checker: Checker,
    pub(crate) abi: Abi,
    pub(crate) mode: Mode,
    pub(crate) input: &'a Input,
}

/// Compares two records. Returns the rows that were needed.
///
/// # Errors
/// What differs beyond the ledger.
pub(crate) fn compare(
    context: Context<'_>,
    upstream: &Record,
    ours: &Record,
) -> Result<Rows, String> {
    let mut rows = Rows::new();
    // What ours has to be: upstream's record, changed row by row.
    let mut expected = upstream.clone();
    if context.checker == Checker::EmcClariion && !upstream.context_cleared {
        expected.context_cleared = true;
        rows.insert("E6");
    }
    if context.checker == Checker::Rdac && upstream.unprepared {
        // R6: the record already tells what upstream's preparation does with a descriptor.
        expected.unprepared = false;
        rows.insert("R6");
    }
    if context.checker == Checker::Rdac && prepare_more_carefully(context.input, &mut expected) {
        rows.insert("R2");
    }
    for (check, checked) in context.input.checks.iter().zip(&mut expected.checks) {
        for rule in RULES {
            let before = checked.clone();
            let row = rule(context, check, checked);
            rows.extend(row.filter(|_| *checked != before));
        }
        checked.hidden = None;
    }
    if expected == *ours {
        return Ok(rows);
    }
    Err(format!(
        "upstream: {upstream:#?}\nexpected: {expected:#?}\nours:     {ours:#?}"
    ))
}

/// R2: the preparation ends at the first MODE SENSE that did not simply succeed, and logs that.
fn prepare_more_carefully(input: &Input, expected: &mut Record) -> bool {
    let failed = |answer: &Answer| answer.result.as_ref().is_ok_and(|reply| !reply.is_clear());
    let Some(first) = input.setup.iter().take(2).position(failed) else {
        return false;
    };
    if expected.setup.len() <= first {
        // It ended before that anyway.
        return false;
    }
    let before = expected.clone();
    expected.setup.truncate(first + 1);
    if !expected.lines.iter().any(|(_, line)| line == TAS_LINE) {
        expected.lines.insert(0, (3, TAS_LINE.to_owned()));
    }
    *expected != before
}

/// Turns upstream's result of a check into what ours has to be. Returns the row of the ledger.
type Rule = fn(Context<'_>, &Check, &mut Checked) -> Option<&'static str>;

/// The rules, in the order in which they apply.
const RULES: [Rule; 4] = [lost_message, numbers_of_0_15, snapshots_of_0_15, verdict];

/// A8: the host of 0.15 that waits for the verdict loses its message.
fn lost_message(context: Context<'_>, _: &Check, checked: &mut Checked) -> Option<&'static str> {
    let (id, text) = checked.hidden.clone()?;
    if context.mode != Mode::Sync || checked.message != 0 {
        return None;
    }
    (checked.message, checked.text) = (id, text);
    Some("A8")
}

/// A3: the message ids of 0.15.
fn numbers_of_0_15(context: Context<'_>, _: &Check, checked: &mut Checked) -> Option<&'static str> {
    let tur = (context.checker, context.abi) == (Checker::Tur, Abi::V0_15);
    if !tur || (checked.state, checked.message) != (State::PENDING, 100) {
        return None;
    }
    checked.message = 103;
    Some("A3")
}

/// E7 and E8: what 0.15 makes of inactive snapshots.
fn snapshots_of_0_15(
    context: Context<'_>,
    check: &Check,
    checked: &mut Checked,
) -> Option<&'static str> {
    let emc = (context.checker, context.abi) == (Checker::EmcClariion, Abi::V0_15);
    if !emc || (checked.state, checked.message) != (State::DOWN, RUNNING) {
        return None;
    }
    // Only an active path is read from. (The INQUIRY before may have been sent more than once.)
    let read = |sent: &Sent| sent.cdb.first() == Some(&READ_10);
    if context.input.map == Map::None && !checked.sent.iter().any(read) {
        set(checked, State::UP, 108, ": Active path is healthy");
        let passive = "emc_clariion_checker: Passive path to inactive snapshot";
        checked.lines.retain(|(_, line)| !line.starts_with(passive));
        return Some("E8");
    }
    // The message is the one before the check, which has no text here.
    let message = match context.mode {
        Mode::Async => 0,
        Mode::Sync => check.message,
    };
    set(checked, State::DOWN, message, "");
    Some("E7")
}

/// The rows about the verdicts of one checker, whatever the host.
fn verdict(context: Context<'_>, check: &Check, checked: &mut Checked) -> Option<&'static str> {
    let answer = |count: usize| {
        let answer = check.answers.get(count.checked_sub(1)?)?;
        Some(&answer.result)
    };
    match context.checker {
        // T1: the fifth reply has both reasons for a retry; upstream counts past zero and continues.
        Checker::Tur if checked.sent.len() > 5 => {
            let Some(Ok(reply)) = answer(5) else {
                return None;
            };
            if !is_unsettled(reply) || sense_code(reply).map(|(key, ..)| key) != Some(6) {
                return None;
            }
            checked.sent.truncate(5);
            set(checked, State::DOWN, 5, " reports path is down");
            Some("T1")
        }
        // T8: the state of transition, which came with 0.9.5.
        Checker::Tur
            if context.abi == Abi::V0_7_9
                && (checked.state, checked.message) == (State::DOWN, 5) =>
        {
            let Some(Ok(reply)) = answer(checked.sent.len()) else {
                return None;
            };
            if reply.info & 1 == 0 || sense_code(reply) != Some((2, 0x04, 0x0a)) {
                return None;
            }
            let text = " reports path is transitioning";
            set(checked, State::PENDING, 103, text);
            Some("T8")
        }
        // R1: an INQUIRY that could not be sent is no empty reply.
        Checker::Rdac => match answer(checked.sent.len()) {
            Some(Err(errno)) if *errno != libc::ENOTTY => {
                let text = " reports path is down: inquiry failed";
                set(checked, State::DOWN, 108, text);
                Some("R1")
            }
            _ => None,
        },
        // C2: a state that exists in the place of -1.
        Checker::CcissTur if context.input.fd.is_some_and(|fd| fd < 0) => {
            checked.state = State::WILD;
            Some("C2")
        }
        _ => None,
    }
}

fn set(checked: &mut Checked, state: State, message: c_short, text: &str) {
    checked.state = state;
    checked.message = message;
    text.clone_into(&mut checked.text);
}

/// Whether tur tries again because of the host status.
fn is_unsettled(reply: &Reply) -> bool {
    reply.info & 1 != 0 && ![0, 1, 4, 5, 0xf].contains(&reply.host)
}

/// Sense key and additional codes as tur reads them.
fn sense_code(reply: &Reply) -> Option<(u8, u8, u8)> {
    let s = &reply.sense;
    match (s[0], reply.sense_length) {
        (0x72 | 0x73, 4..) => Some((s[1] & 0xf, s[2], s[3])),
        (0x70 | 0x71 | 0xf0 | 0xf1, 14..) => Some((s[2] & 0xf, s[12], s[13])),
        _ => None,
    }
}

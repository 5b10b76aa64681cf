//! Two records of the same life, compared; the differences that the ledger allows.
//!
//! Each of them says exactly what ours must be where the C plugin of an ABI does what the row
//! describes. All else is a mismatch.

use crate::scsi::Checker;
use crate::scsi::case::{Case, Check, Checked, Map, Mode, Record, TAS_LINE};
use crate::scsi::device::{Answer, Reply, Sent};
use harness::abi::Abi;
use std::collections::BTreeSet;

const WILD: i32 = 0;
const DOWN: i32 = 2;
const UP: i32 = 3;
const PENDING: i32 = 6;

/// The operation code of READ (10).
const READ_10: u8 = 0x28;

/// The message of a running check that 0.15.0's host sets before it calls a plugin's function.
const RUNNING: i16 = 10;

/// The rows that show in nearly every life of a checker.
pub(crate) const EVERYWHERE: [&str; 7] = ["A3", "A8", "A11", "A12", "A13", "E6", "R6"];

/// Compares; gives the rows that were needed.
///
/// # Errors
/// What differs beyond the ledger.
pub(crate) fn compare(
    checker: Checker,
    abi: Abi,
    case: &Case,
    c: &Record,
    ours: &Record,
) -> Result<BTreeSet<&'static str>, String> {
    let mut rows = BTreeSet::new();
    // What ours has to be: C's record, changed row by row.
    let mut expected = c.clone();
    if checker == Checker::EmcClariion && !c.context_cleared {
        expected.context_cleared = true;
        rows.insert("E6");
    }
    if checker == Checker::Rdac && c.unprepared {
        // R6: the record tells already what C's preparation does with a descriptor.
        expected.unprepared = false;
        rows.insert("R6");
    }
    if checker == Checker::Rdac && prepare_more_carefully(case, &mut expected) {
        rows.insert("R2");
    }
    for (check, checked) in case.checks.iter().zip(&mut expected.checks) {
        for rule in RULES {
            let before = checked.clone();
            let row = rule(checker, abi, case, check, checked);
            rows.extend(row.filter(|_| *checked != before));
        }
        checked.hidden = None;
    }
    if expected == *ours {
        return Ok(rows);
    }
    Err(format!(
        "C:        {c:#?}\nexpected: {expected:#?}\nours:     {ours:#?}"
    ))
}

/// R2: the preparation ends at the first MODE SENSE that did not simply succeed, and says so.
fn prepare_more_carefully(case: &Case, expected: &mut Record) -> bool {
    let failed = |answer: &Answer| answer.result.as_ref().is_ok_and(|reply| !reply.is_clear());
    let Some(first) = case.setup.iter().take(2).position(failed) else {
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

/// Makes of C's result of a check what ours has to be; says which row of the ledger that is.
type Rule = fn(Checker, Abi, &Case, &Check, &mut Checked) -> Option<&'static str>;

/// The rules, in the order in which they apply.
const RULES: [Rule; 4] = [silent, of_the_host, of_the_snapshot, of_the_checker];

/// A8: the host of 0.15.0 that waits for the verdict loses its message.
fn silent(
    _: Checker,
    _: Abi,
    case: &Case,
    _: &Check,
    checked: &mut Checked,
) -> Option<&'static str> {
    let (id, text) = checked.hidden.clone()?;
    if case.mode != Mode::Sync || checked.message != 0 {
        return None;
    }
    (checked.message, checked.text) = (id, text);
    Some("A8")
}

/// A3: the numbers of 0.15.0.
fn of_the_host(
    checker: Checker,
    abi: Abi,
    _: &Case,
    _: &Check,
    checked: &mut Checked,
) -> Option<&'static str> {
    if abi != Abi::V0_15 || checker != Checker::Tur || checked.verdict() != (PENDING, 100) {
        return None;
    }
    checked.message = 103;
    Some("A3")
}

/// E7 and E8: what 0.15.0 makes of inactive snapshots.
fn of_the_snapshot(
    checker: Checker,
    abi: Abi,
    case: &Case,
    check: &Check,
    checked: &mut Checked,
) -> Option<&'static str> {
    if (checker, abi) != (Checker::EmcClariion, Abi::V0_15) || checked.verdict() != (DOWN, RUNNING)
    {
        return None;
    }
    // Only an active path is read from. (The INQUIRY before may have been sent more than once.)
    let read = |sent: &Sent| sent.cdb.first() == Some(&READ_10);
    if case.map == Map::None && !checked.sent.iter().any(read) {
        set(checked, UP, 108, ": Active path is healthy");
        let passive = "emc_clariion_checker: Passive path to inactive snapshot";
        checked.lines.retain(|(_, line)| !line.starts_with(passive));
        return Some("E8");
    }
    // The message is the one before the check, which has no text here.
    let message = match case.mode {
        Mode::Async => 0,
        Mode::Sync => check.message,
    };
    set(checked, DOWN, message, "");
    Some("E7")
}

/// The rows about a single checker's verdicts, whatever the host.
fn of_the_checker(
    checker: Checker,
    abi: Abi,
    case: &Case,
    check: &Check,
    checked: &mut Checked,
) -> Option<&'static str> {
    let answer = |count: usize| {
        let answer = check.answers.get(count.checked_sub(1)?)?;
        Some(&answer.result)
    };
    match checker {
        // T1: the fifth reply has both reasons for a retry, and C forgets to count.
        Checker::Tur if checked.sent.len() > 5 => {
            let Some(Ok(reply)) = answer(5) else {
                return None;
            };
            if !is_unsettled(reply) || sense_code(reply).map(|(key, ..)| key) != Some(6) {
                return None;
            }
            checked.sent.truncate(5);
            set(checked, DOWN, 5, " reports path is down");
            Some("T1")
        }
        // T8: the state of transition, which came with 0.9.5.
        Checker::Tur if abi == Abi::V0_7_9 && checked.verdict() == (DOWN, 5) => {
            let Some(Ok(reply)) = answer(checked.sent.len()) else {
                return None;
            };
            if reply.info & 1 == 0 || sense_code(reply) != Some((2, 0x04, 0x0a)) {
                return None;
            }
            set(checked, PENDING, 103, " reports path is transitioning");
            Some("T8")
        }
        // R1: an INQUIRY that could not be sent is no empty reply.
        Checker::Rdac => match answer(checked.sent.len()) {
            Some(Err(errno)) if *errno != libc::ENOTTY => {
                let text = " reports path is down: inquiry failed";
                set(checked, DOWN, 108, text);
                Some("R1")
            }
            _ => None,
        },
        // C2: a state that exists in the place of -1.
        Checker::CcissTur if case.fd.is_some_and(|fd| fd < 0) => {
            checked.state = WILD;
            Some("C2")
        }
        _ => None,
    }
}

fn set(checked: &mut Checked, state: i32, message: i16, text: &str) {
    checked.state = state;
    checked.message = message;
    text.clone_into(&mut checked.text);
}

/// A host status that makes tur try again.
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

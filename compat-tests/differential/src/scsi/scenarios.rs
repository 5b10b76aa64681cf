// SPDX-License-Identifier: LGPL-2.0-or-later

//! The asynchronous protocol: devices that answer at once, late, much too late or never, and paths that
//! are freed meanwhile.
//!
//! Before 0.15 upstream has the protocol in tur only; since then the host keeps it for all checkers but
//! directio. Time is compared in coarse steps: every scenario begins a tenth of a second after a full
//! second of the monotonic clock, and time limits count in full seconds, but for the host of 0.15.

#![forbid(unsafe_code)]

use crate::scsi::implementation::Told as StateAndMessage;
use cases::{Answer, Checker, Pace, good, sense};
use harness::abi::Abi;
use harness::state::State;
use std::time::Duration;

/// What a poll must return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Returns {
    /// The check is still running.
    Running,
    /// It did not end in time.
    TimedOut,
    /// The verdict on a device that answers with success, after some more polls if need be.
    Verdict,
    /// This, likewise.
    Told(StateAndMessage),
}
use Returns::{Running, TimedOut, Told, Verdict};

/// One step of a scenario.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// From now on the device answers so, and afterwards every command with success at once.
    Answer(Vec<Answer>),
    /// So many milliseconds after the beginning, or at once if they have passed, the path is polled as
    /// multipathd does.
    Poll(u64, Returns),
    /// In the last poll `libcheck_need_wait` returned true, where the ABI has it; in a further poll it would
    /// return false.
    WaitsOnce,
    /// So many commands have been sent: one for each hung check, and all of those of complete checks.
    Commands {
        /// Checks whose first command hangs.
        hung: usize,
        /// Complete checks.
        complete: usize,
    },
    /// At least so many commands have been sent.
    CommandsAtLeast(usize),
    /// Commands so far do not count.
    ForgetCommands,
    /// The next poll finds this state; the host gets another one, which its release knows.
    Finds(State),
    /// Hung commands end, and get time for that.
    Release,
    /// A pause in milliseconds.
    Pause(u64),
    /// `libcheck_free`, which must not wait.
    Free,
    /// Steps that depend on the ledger: the first list where the row must show, the second elsewhere.
    Differs(Subject, &'static str, Vec<Step>, Vec<Step>),
}
use Step::{
    Answer as Answers, Commands, CommandsAtLeast, Differs, Finds, ForgetCommands, Free, Pause,
    Poll, Release, WaitsOnce,
};

/// The side whose behaviour a row of the ledger describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Upstream's, in every host.
    Upstream,
    /// Upstream's in a host of 0.15.
    Upstream0_15,
    /// This project's.
    Ours,
}
use Subject::{Ours, Upstream, Upstream0_15};

/// A path's course.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// The time limit in seconds.
    pub(crate) timeout: u32,
    pub(crate) steps: Vec<Step>,
}

fn hung(count: usize) -> Step {
    Answers(vec![good().at(Pace::Hung); count])
}

fn late(millis: u64) -> Step {
    let pace = Pace::After(Duration::from_millis(millis));
    Answers(vec![good().at(pace)])
}

fn sent(hung: usize, complete: usize) -> Step {
    Commands { hung, complete }
}

/// A time limit in seconds whose microseconds do not fit into 32 bits: 327 milliseconds are left.
const HALF_A_DAY: u32 = 42_950;

/// Scenarios: name, time limit, steps.
macro_rules! scenarios {
    ($($name:literal, $timeout:expr, [$($step:expr),* $(,)?];)*) => {
        vec![$(Scenario { name: $name, timeout: $timeout, steps: vec![$($step),*] }),*]
    };
}

/// All scenarios of a checker in a host of this ABI.
pub(crate) fn all(checker: Checker, abi: Abi) -> Vec<Scenario> {
    // A reply after which the checker sends another command.
    let again = match checker {
        Checker::HpSw | Checker::CcissTur => good(),
        _ => sense(6, 0, 0).host(7),
    };
    let hung_of_three = vec![again.clone().at(Pace::Hung), again.clone(), again];
    let mut all = scenarios! {
        "late", 1, [
            late(400), Poll(0, Running), WaitsOnce, Poll(150, Running),
            Poll(700, Verdict), sent(0, 1),
        ];
        "ends in time and is polled too late", 1, [
            late(400), Poll(0, Running), Poll(2300, Verdict), sent(0, 1),
        ];
        "ends after the time limit", 1, [
            hung(1), Poll(0, Running), Poll(2300, TimedOut),
            Release, ForgetCommands, Poll(0, Verdict), sent(0, 1),
        ];
        // One run may start beside the hung one.
        "hangs once", 1, [
            hung(1), Poll(0, Running), Poll(600, Running),
            Differs(Upstream0_15, "A4",
                vec![Poll(900, Running), Poll(1500, TimedOut)],
                vec![Poll(1500, Running), Poll(2300, TimedOut)]),
            sent(1, 0), Poll(0, Verdict), sent(1, 1),
            Release, Poll(0, Verdict),
        ];
        // And no third beside two. 0.15 waits for the second, but only until the next check.
        "hangs twice", 1, [
            hung(4), Poll(0, Running), Poll(2300, TimedOut), Poll(0, Running),
            Differs(Upstream0_15, "A7",
                vec![
                    Poll(3500, TimedOut), Poll(0, TimedOut), Poll(0, Running), Pause(200), sent(3, 0),
                    Poll(5000, TimedOut), Poll(0, Running), Pause(200), sent(4, 0),
                ],
                vec![
                    Poll(3500, Running), Poll(4300, TimedOut), Poll(0, TimedOut), Poll(0, TimedOut),
                    Poll(0, TimedOut), Poll(0, TimedOut), Poll(0, TimedOut), sent(2, 0),
                ]),
            Release, Poll(0, Verdict),
        ];
        // Beside each hung run one ends, so that no two of those that upstream counts hang in a row.
        "every second check hangs", 1, [
            hung(1), Poll(0, Running), Poll(2300, TimedOut), Answers(vec![]), Poll(0, Verdict),
            hung(1), Poll(2300, Running), Poll(4300, TimedOut), Answers(vec![]),
            Differs(Upstream, "A15",
                vec![Poll(0, Verdict), sent(2, 2)],
                vec![Poll(0, TimedOut), Poll(0, TimedOut), sent(2, 1)]),
            Release, Poll(0, Verdict),
        ];
        "no time at all", 0, [
            hung(1), Poll(0, Running), Poll(500, Running),
            Differs(Upstream0_15, "A5",
                vec![Poll(1200, Running), Poll(3500, Running)],
                vec![Poll(1200, TimedOut)]),
            sent(1, 0), Release, Poll(0, Verdict),
        ];
        "half a day", HALF_A_DAY, [
            late(900), Poll(0, Running),
            Differs(Upstream0_15, "A6", vec![Poll(600, TimedOut)], vec![Poll(600, Running)]),
            Poll(1200, Verdict),
        ];
        // Upstream goes on with its retries, or with the next command, after the path has been freed.
        "freed while hung", 1, [
            Answers(hung_of_three), Poll(0, Running), Pause(300), Free, Release, Pause(100),
            Differs(Upstream, "T7", vec![CommandsAtLeast(2)], vec![sent(1, 0)]),
        ];
    };
    // Upstream starts its next thread beside one that has answered but has not ended yet, and logs that:
    // hence the pauses.
    let round = |number| [Poll(0, Verdict), sent(0, number), Pause(20)];
    all.push(Scenario {
        name: "instant",
        timeout: 1,
        steps: (1..=20).flat_map(round).collect(),
    });
    if checker == Checker::Tur {
        // Hosts before 0.14 have no word for a target without access, but this project's log has.
        let refused = Answers(vec![sense(5, 0x25, 0)]);
        let steps = if abi < Abi::V0_14 {
            let found = vec![Finds(State::DISCONNECTED)];
            let told = Poll(0, Told((State::DOWN, 5)));
            vec![refused, Differs(Ours, "T9", found, vec![]), told]
        } else {
            vec![refused, Poll(0, Told((State::DISCONNECTED, 8)))]
        };
        all.push(Scenario {
            name: "no access",
            timeout: 1,
            steps,
        });
    }
    all
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The result of a check, and the exit code for all of them.

use crate::reason::Reason;
use checkers_core::PathState;
use serde::{Deserialize, Serialize};
use std::process::ExitCode;

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// The path has a state.
    Checked(Finding),
    /// There is nothing to check, and the user has not named the device.
    Skipped(String),
    /// It could not be checked.
    Failed(String),
}

/// A state, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// [`PathState`] as its number, as it travels between the processes.
    pub(crate) raw_state: i32,
    /// The checker's message, or another explanation.
    pub(crate) message: String,
    /// The checker's message id; `None` when no checker gave the message.
    pub(crate) message_id: Option<i16>,
    /// From the start of the check to its result, in microseconds; `None` without a result.
    pub(crate) latency_us: Option<u64>,
    /// The device's last reply, if the path is not up.
    pub(crate) reason: Option<Reason>,
    /// The device has not replied: a request may still be in flight.
    pub(crate) hangs: bool,
}

impl Finding {
    pub(crate) fn new(state: PathState, message: String) -> Finding {
        Finding {
            raw_state: state.as_raw(),
            message,
            message_id: None,
            latency_us: None,
            reason: None,
            hangs: false,
        }
    }

    pub(crate) fn state(&self) -> PathState {
        PathState::from_raw(self.raw_state).unwrap_or(PathState::Wild)
    }
}

/// The exit code of the program, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    AllUp = 0,
    SomeNotUp = 1,
    // 2 is the command line parser's.
    NotChecked = 3,
}

impl Exit {
    /// The exit code when these are the results.
    pub(crate) fn of<'a>(outcomes: impl Iterator<Item = Option<&'a Outcome>>) -> Exit {
        let of_one = |outcome: Option<&Outcome>| match outcome {
            Some(Outcome::Checked(finding)) if finding.state() == PathState::Up => {
                Some(Exit::AllUp)
            }
            Some(Outcome::Checked(_)) => Some(Exit::SomeNotUp),
            Some(Outcome::Skipped(_)) => None,
            Some(Outcome::Failed(_)) | None => Some(Exit::NotChecked),
        };
        // Nothing but skipped devices: nothing was checked.
        outcomes
            .filter_map(of_one)
            .max()
            .unwrap_or(Exit::NotChecked)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_result_decides() {
        let up = || Outcome::Checked(Finding::new(PathState::Up, String::new()));
        let down = || Outcome::Checked(Finding::new(PathState::Down, String::new()));
        let ghost = || Outcome::Checked(Finding::new(PathState::Ghost, String::new()));
        let skipped = || Outcome::Skipped(String::new());
        let failed = || Outcome::Failed(String::new());
        for (outcomes, exit) in [
            (vec![up(), up()], Exit::AllUp),
            (vec![up(), skipped()], Exit::AllUp),
            (vec![up(), ghost()], Exit::SomeNotUp),
            (vec![down(), skipped()], Exit::SomeNotUp),
            (vec![failed(), down(), up()], Exit::NotChecked),
            (vec![skipped()], Exit::NotChecked),
            (vec![], Exit::NotChecked),
        ] {
            assert_eq!(Exit::of(outcomes.iter().map(Some)), exit, "{outcomes:?}");
        }
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later
//! The last part of the output: what did not pass, and the counts.

use std::collections::BTreeMap;

use crate::model::{Outcome, Status, known_failures};

/// The scenarios of all runs by status.
pub(crate) struct Summary(BTreeMap<Status, Vec<String>>);

impl Summary {
    pub(crate) fn new(outcomes: &[Outcome]) -> Summary {
        let mut by_status: BTreeMap<Status, Vec<String>> = BTreeMap::new();
        for outcome in outcomes {
            for &scenario in &outcome.scenarios {
                let mut line = format!("{} {scenario}", outcome.config);
                let status = outcome.status(scenario);
                let reason = known_failures::reason(outcome.config, scenario);
                if let (Status::KnownFailure, Some(reason)) = (status, reason) {
                    line.push_str(&format!(": {reason}"));
                }
                by_status.entry(status).or_default().push(line);
            }
        }
        Summary(by_status)
    }

    /// The number of passed scenarios. Known failures of upstream's plugins are among them.
    pub(crate) fn passed(&self) -> usize {
        [Status::Passed, Status::Waited, Status::KnownFailure]
            .iter()
            .map(|status| self.lines(*status).len())
            .sum()
    }

    /// The number of failed scenarios.
    pub(crate) fn failed(&self) -> usize {
        self.lines(Status::Failed).len()
    }

    fn lines(&self, status: Status) -> &[String] {
        self.0.get(&status).map_or(&[], Vec::as_slice)
    }

    /// Lists what did not simply pass, and prints the counts in the last line.
    pub(crate) fn print(&self) {
        for (status, title) in [
            (
                Status::Waited,
                "WAITED for a hung device, and passed otherwise:",
            ),
            (
                Status::KnownFailure,
                "FAILED, as upstream's plugins are known to:",
            ),
            (Status::Failed, "FAILED:"),
            (Status::NotRun, "NOT RUN:"),
        ] {
            let lines = self.lines(status);
            if !lines.is_empty() {
                println!("{title}\n  {}", lines.join("\n  "));
            }
        }
        let (passed, failed) = (self.passed(), self.failed());
        let not_run = self.lines(Status::NotRun).len();
        println!("{passed} passed, {failed} failed, {not_run} not run");
    }
}

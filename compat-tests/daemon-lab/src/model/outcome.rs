// SPDX-License-Identifier: LGPL-2.0-or-later
//! The outcome of a run, and the status of each scenario in it.

use std::fmt;

use super::known_failures;
use super::record::{Completion, Event, Record};
use super::run_config::RunConfig;
use super::scenario::Scenario;

/// The outcome of one guest.
pub(crate) struct Outcome {
    pub(crate) config: RunConfig,
    /// The scenarios that were to run.
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) records: Vec<Record>,
}

/// The status of a scenario, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    Passed,
    /// Passed, but an operation that does not need the hung device waited for it.
    Waited,
    /// Failed, as upstream's plugins are known to.
    KnownFailure,
    NotRun,
    Failed,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Status::Passed => "ok",
            Status::Waited => "waits",
            Status::KnownFailure => "fails",
            Status::NotRun => "not run",
            Status::Failed => "FAILED",
        })
    }
}

impl Outcome {
    /// The records of one scenario, from its beginning on; empty if it has not begun.
    pub(crate) fn records_of(&self, scenario: Scenario) -> Vec<&Record> {
        let begins = |r: &&Record| matches!(r.event, Event::Begin { scenario: s } if s == scenario);
        self.records
            .iter()
            .skip_while(|record| !begins(record))
            .take_while(|record| !matches!(record.event, Event::End { .. } | Event::Done))
            .collect()
    }

    /// True if the scenario ran to its end.
    pub(crate) fn has_completed(&self, scenario: Scenario) -> bool {
        self.records
            .iter()
            .any(|r| matches!(r.event, Event::End { scenario: s } if s == scenario))
    }

    /// The status of one scenario. One that began and did not end has failed.
    pub(crate) fn status(&self, scenario: Scenario) -> Status {
        match self.unexcused_status(scenario) {
            Status::Failed if known_failures::reason(self.config, scenario).is_some() => {
                Status::KnownFailure
            }
            status => status,
        }
    }

    fn unexcused_status(&self, scenario: Scenario) -> Status {
        let records = self.records_of(scenario);
        if records.is_empty() {
            return Status::NotRun;
        }
        let mut steps = 0;
        let mut not_run = false;
        let mut waited = false;
        for record in records {
            match record.event {
                Event::Step { ok: false, .. }
                | Event::Took {
                    completion: Completion::Incomplete,
                    ..
                } => return Status::Failed,
                Event::Step { .. } => steps += 1,
                Event::Took { completion, .. } => {
                    steps += 1;
                    waited |= completion == Completion::AfterRelease;
                }
                Event::NotRun { .. } => not_run = true,
                _ => {}
            }
        }
        match (self.has_completed(scenario), not_run, steps) {
            (false, ..) | (_, false, 0) => Status::Failed,
            (_, true, _) => Status::NotRun,
            _ if waited => Status::Waited,
            _ => Status::Passed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::checker::Checker;
    use super::super::record::{Operation, StepKind};
    use super::super::run_config::Plugins;
    use super::super::suite::Suite;
    use super::*;

    fn status(events: &[Event]) -> Status {
        let record = |event: &Event| Record {
            at: 0,
            event: event.clone(),
        };
        let outcome = Outcome {
            config: RunConfig {
                suite: Suite::Sid,
                checker: Checker::Tur,
                plugins: Plugins::Ours,
            },
            scenarios: vec![Scenario::Hang],
            records: events.iter().map(record).collect(),
        };
        outcome.status(Scenario::Hang)
    }

    #[test]
    fn a_scenario_passes_only_with_a_step_and_an_end() {
        let scenario = Scenario::Hang;
        let (begin, end) = (Event::Begin { scenario }, Event::End { scenario });
        let step = |ok| Event::Step {
            what: String::new(),
            ok,
            after: 0,
            kind: StepKind::Other,
        };
        let took = |completion| Event::Took {
            operation: Operation::ListHung,
            ms: 0,
            completion,
        };
        let why = String::new();
        let not_run = Event::NotRun { why };
        let with = |event: Event| status(&[begin.clone(), event, end.clone()]);
        assert_eq!(status(&[]), Status::NotRun);
        assert_eq!(status(&[begin.clone(), end.clone()]), Status::Failed);
        assert_eq!(status(&[begin.clone(), step(true)]), Status::Failed);
        assert_eq!(with(step(true)), Status::Passed);
        assert_eq!(with(step(false)), Status::Failed);
        assert_eq!(with(not_run), Status::NotRun);
        assert_eq!(with(took(Completion::Completed)), Status::Passed);
        assert_eq!(with(took(Completion::AfterRelease)), Status::Waited);
        assert_eq!(with(took(Completion::Incomplete)), Status::Failed);
    }
}

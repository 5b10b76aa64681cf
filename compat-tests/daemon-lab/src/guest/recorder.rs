// SPDX-License-Identifier: LGPL-2.0-or-later
//! The records of one scenario: faults, steps, and the time between them.

use std::time::{Duration, Instant};

use super::expectation::Expectation;
use super::reporter::Reporter;
use super::wait::millis;
use crate::model::{Completion, Event, Operation, PathId, StepKind};

pub(super) struct Recorder {
    reporter: Reporter,
    last_change: Change,
    /// Paths that have failed since the last fault.
    failed: Vec<PathId>,
}

/// The event that the time of a step counts from.
struct Change {
    at: Instant,
    kind: ChangeKind,
}

#[derive(Clone, Copy)]
enum ChangeKind {
    DaemonStart,
    Fault,
    Release,
}

impl Recorder {
    pub(super) fn new(reporter: Reporter) -> Recorder {
        Recorder {
            reporter,
            last_change: Change::now(ChangeKind::DaemonStart),
            failed: Vec::new(),
        }
    }

    pub(super) fn reporter(&self) -> &Reporter {
        &self.reporter
    }

    pub(super) fn daemon_started(&mut self) {
        self.last_change = Change::now(ChangeKind::DaemonStart);
    }

    /// Records that a fault is injected now.
    pub(super) fn fault(&mut self, what: &str) {
        self.reporter.send(Event::Fault {
            what: what.to_owned(),
        });
        self.last_change = Change::now(ChangeKind::Fault);
        self.failed.clear();
    }

    /// Records that a fault is removed now.
    pub(super) fn release(&mut self, what: &str) {
        self.reporter.send(Event::Release {
            what: what.to_owned(),
        });
        self.last_change = Change::now(ChangeKind::Release);
    }

    /// Records that a path met an expectation.
    pub(super) fn met(&self, path: PathId, expectation: Expectation) {
        let kind = match (expectation, self.last_change.kind) {
            (Expectation::Failed, ChangeKind::Fault) => StepKind::Failed,
            // A path that has not failed cannot recover.
            (Expectation::Active, ChangeKind::Release) if self.failed.contains(&path) => {
                StepKind::Recovered
            }
            _ => StepKind::Other,
        };
        self.step_of_kind(format!("{path} {expectation}"), true, kind);
    }

    /// Remembers which paths met an expectation, for [`Self::met`].
    pub(super) fn settled(&mut self, paths: &[PathId], expectation: Expectation) {
        if matches!(expectation, Expectation::Failed | Expectation::Gone) {
            self.failed.extend(paths);
        }
    }

    /// Records whether something was as expected.
    pub(super) fn step(&self, what: impl Into<String>, ok: bool) {
        self.step_of_kind(what.into(), ok, StepKind::Other);
    }

    fn step_of_kind(&self, what: String, ok: bool, kind: StepKind) {
        self.reporter.send(Event::Step {
            what,
            ok,
            after: millis(self.last_change.at.elapsed()),
            kind,
        });
    }

    /// Records the duration of an operation and how it ended.
    pub(super) fn took(&self, operation: Operation, time: Duration, completion: Completion) {
        self.reporter.send(Event::Took {
            operation,
            ms: millis(time),
            completion,
        });
    }
}

impl Change {
    fn now(kind: ChangeKind) -> Change {
        Change {
            at: Instant::now(),
            kind,
        }
    }
}

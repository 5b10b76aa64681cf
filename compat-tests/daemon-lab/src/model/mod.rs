// SPDX-License-Identifier: LGPL-2.0-or-later
//! What both halves and all reports share: run configurations, jobs, records, outcomes.

mod checker;
pub(crate) mod job;
pub(crate) mod known_failures;
mod names;
mod outcome;
mod path_view;
mod record;
mod run_config;
mod scenario;
pub(crate) mod suite;

pub(crate) use checker::Checker;
pub(crate) use job::{Effort, Job};
pub(crate) use outcome::{Outcome, Status};
pub(crate) use path_view::{CheckerState, DmState, PathId, PathView};
pub(crate) use record::{Completion, Event, Figure, Operation, Record, StepKind};
pub(crate) use run_config::{Plugins, RunConfig};
pub(crate) use scenario::{DiskKind, Scenario};
pub(crate) use suite::{Package, Suite};

// SPDX-License-Identifier: LGPL-2.0-or-later
//! What both halves and all reports share: run configurations, jobs, records, outcomes.

pub(crate) mod checker;
pub(crate) mod job;
pub(crate) mod known_failures;
pub(crate) mod outcome;
pub(crate) mod path_view;
pub(crate) mod record;
pub(crate) mod run_config;
pub(crate) mod scenario;
pub(crate) mod suite;

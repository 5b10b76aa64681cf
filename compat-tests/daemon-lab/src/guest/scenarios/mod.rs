// SPDX-License-Identifier: LGPL-2.0-or-later
//! The steps of the scenarios. Their descriptions are in `model/scenario.rs`.
//!
//! The limits are generous: they distinguish a path that changes from one that does not. How fast it
//! changes is compared with upstream.

mod commands;
mod faulty_replies;
mod hang;
mod paths;

use anyhow::Result;

use super::testbed::Testbed;
use crate::model::Scenario;

/// The function that runs the steps of a scenario.
pub(super) type Steps = fn(&mut Testbed) -> Result<()>;

pub(super) fn steps(scenario: Scenario) -> Steps {
    match scenario {
        Scenario::Healthy => paths::healthy,
        Scenario::Foreign => paths::foreign,
        Scenario::Offline => paths::offline,
        Scenario::Delete => paths::delete,
        Scenario::Hang => hang::hang,
        Scenario::Stop => paths::stop,
        Scenario::Attention => paths::attention,
        Scenario::Recovered => faulty_replies::recovered,
        Scenario::Transport => faulty_replies::transport,
        Scenario::Aborted => faulty_replies::aborted,
        Scenario::Busy => faulty_replies::busy,
        Scenario::Short => faulty_replies::short,
        Scenario::Unmapped => paths::unmapped,
        Scenario::Flap => paths::flap,
        Scenario::List => commands::list,
        Scenario::Reconfigure => commands::reconfigure,
        Scenario::Shutdown => commands::shutdown,
        Scenario::Quiesce => hang::quiesce,
        Scenario::QuiesceList => commands::quiesce_list,
        Scenario::QuiesceReconfigure => commands::quiesce_reconfigure,
        Scenario::QuiesceShutdown => commands::quiesce_shutdown,
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later
//! Runs one scenario, from a working disk and a new daemon to the last figure.

use std::time::Duration;

use anyhow::Result;

use super::disk::Disk;
use super::expectation::Expectation;
use super::reporter::Reporter;
use super::testbed::Testbed;
use super::{command, plugins, scenarios};
use crate::model::{Job, Scenario};

/// How long the daemon may take to set up both paths.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Runs a scenario. An error is recorded as a failed step.
pub(super) fn run(job: &Job, scenario: Scenario, disk: Disk, reporter: &Reporter) {
    let mut testbed = Testbed::new(job, scenario, disk, reporter.clone());
    if let Err(error) = drive(&mut testbed, scenario) {
        testbed.recorder.step(format!("{error:#}"), false);
    }
}

fn drive(testbed: &mut Testbed, scenario: Scenario) -> Result<()> {
    testbed.repair_disk()?;
    plugins::configure(testbed.checker(), scenario.disk())?;
    // A device that udev is still probing is busy: no map can be created over it.
    command::settle_udev()?;
    testbed.start_daemon()?;
    let start = Expectation::at_start(testbed.checker());
    testbed.expect_both(start, START_LIMIT.as_secs());
    // multipathd postpones commands that concern a map until udev has processed the map.
    command::settle_udev()?;
    if start == Expectation::Active {
        testbed.start_load()?;
    }
    let result = scenarios::steps(scenario)(testbed);
    // Even after an error the next scenario needs a working disk.
    let repaired = testbed.repair_disk();
    testbed.stop_load();
    testbed.stop_daemon()?;
    result.and(repaired)
}

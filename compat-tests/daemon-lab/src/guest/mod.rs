// SPDX-License-Identifier: LGPL-2.0-or-later
//! The half that runs in the guest: prepares the disks and the daemon, then runs the scenarios.

mod command;
mod daemon;
mod daemon_log;
mod disk;
mod disks;
mod expectation;
mod lio;
mod listing;
mod load;
mod map;
mod plugins;
mod recorder;
mod reporter;
mod sampler;
mod scenario_driver;
mod scenarios;
mod scsi_debug;
mod testbed;
mod wait;

use anyhow::Result;

use crate::model::{Event, Job, job::SHARED};
use disks::Disks;
use reporter::Reporter;

/// The serial line for records.
const SERIAL_LINE: &str = "/dev/ttyS0";

/// Runs the job in the shared directory.
///
/// # Errors
/// When the job cannot be started. The failures of scenarios are records.
pub(crate) fn main() -> Result<()> {
    let reporter = Reporter::new(SERIAL_LINE)?;
    let result = run(&reporter);
    if let Err(error) = &result {
        reporter.not_run(error);
    }
    reporter.send(Event::Done);
    result
}

fn run(reporter: &Reporter) -> Result<()> {
    let job = Job::load(SHARED.as_ref())?;
    plugins::install(job.config.plugins)?;
    let mut disks = Disks::default();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel = kernel.trim().to_owned();
    reporter.send(Event::Ready { kernel });
    for &scenario in &job.scenarios {
        reporter.send(Event::Begin { scenario });
        match disks.get(scenario.disk()) {
            Ok(disk) => scenario_driver::run(&job, scenario, disk, reporter),
            Err(error) => reporter.not_run(&error),
        }
        reporter.send(Event::End { scenario });
    }
    Ok(())
}

// SPDX-License-Identifier: LGPL-2.0-or-later
//! Scenarios in which every third command gets a faulty reply.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::guest::{
    expectation::Expectation,
    scsi_debug::{self, Delay, Fault},
    testbed::Testbed,
    wait::wait_until,
};
use crate::model::PathId;

/// How long to try to change the delay of replies, which fails while commands are in flight.
const DELAY_LIMIT: Duration = Duration::from_secs(60);

pub(super) fn recovered(testbed: &mut Testbed) -> Result<()> {
    faulty_replies(testbed, Fault::Recovered)
}

pub(super) fn transport(testbed: &mut Testbed) -> Result<()> {
    faulty_replies(testbed, Fault::Transport)
}

pub(super) fn busy(testbed: &mut Testbed) -> Result<()> {
    faulty_replies(testbed, Fault::Busy)
}

pub(super) fn short(testbed: &mut Testbed) -> Result<()> {
    faulty_replies(testbed, Fault::Short)
}

pub(super) fn aborted(testbed: &mut Testbed) -> Result<()> {
    // To the kernel an aborted command has timed out. After a few timeouts it takes the path offline.
    PathId::BOTH
        .into_iter()
        .try_for_each(|path| testbed.disk().tolerate_timeouts(path, u32::MAX))?;
    set_delay(testbed, Delay::WorkQueue)?;
    let before = scsi_debug::aborts()?;
    faulty_replies(testbed, Fault::Aborted)?;
    let count = scsi_debug::aborts()? - before;
    let what = format!("{count} commands were aborted");
    testbed.recorder.step(what, count > 0);
    set_delay(testbed, Delay::Tick)
}

/// Sets the delay while no command is in flight: the load is suspended, and the checkers' commands
/// are short.
fn set_delay(testbed: &Testbed, delay: Delay) -> Result<()> {
    testbed.pause_load(true);
    let set = wait_until(DELAY_LIMIT, || scsi_debug::set_delay(delay).is_ok());
    testbed.pause_load(false);
    ensure!(set, "scsi_debug is always busy");
    Ok(())
}

/// The kernel may fail a path for a faulty reply; the checker has to reinstate it. Only the state at
/// the end counts.
fn faulty_replies(testbed: &mut Testbed, fault: Fault) -> Result<()> {
    testbed.fault("every third reply is bad", |_| scsi_debug::inject(fault, 3))?;
    sleep(Duration::from_secs(testbed.effort().choose(10, 4)));
    testbed.release("replies are good", scsi_debug::remove_fault)?;
    testbed.expect_both(Expectation::Active, 30);
    testbed.expect_io(60);
    Ok(())
}

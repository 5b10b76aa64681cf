// SPDX-License-Identifier: LGPL-2.0-or-later
//! Scenarios in which paths go away, come back, or change nothing.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use crate::guest::{
    disk::ScsiState, expectation::Expectation, scsi_debug, testbed::Testbed, wait::wait_until,
};
use crate::model::PathId::{self, A, B};

pub(super) fn healthy(testbed: &mut Testbed) -> Result<()> {
    testbed.expect_unchanged(A, Expectation::Active, 5);
    testbed.expect_unchanged(B, Expectation::Active, 1);
    testbed.expect_io(10);
    Ok(())
}

pub(super) fn foreign(testbed: &mut Testbed) -> Result<()> {
    let start = Expectation::at_start(testbed.checker());
    testbed.expect_unchanged(A, start, 5);
    testbed.expect_unchanged(B, start, 1);
    Ok(())
}

pub(super) fn offline(testbed: &mut Testbed) -> Result<()> {
    go_offline(testbed)?;
    testbed.expect(A, Expectation::Failed, 20);
    testbed.expect_unchanged(B, Expectation::Active, 3);
    testbed.expect_io(20);
    go_online(testbed)?;
    testbed.expect(A, Expectation::Active, 20);
    Ok(())
}

pub(super) fn flap(testbed: &mut Testbed) -> Result<()> {
    for _ in 0..testbed.effort().choose(10, 3) {
        go_offline(testbed)?;
        sleep(Duration::from_secs(3));
        go_online(testbed)?;
        sleep(Duration::from_secs(3));
    }
    testbed.expect(A, Expectation::Active, 20);
    testbed.expect_unchanged(B, Expectation::Active, 1);
    testbed.expect_io(20);
    Ok(())
}

fn go_offline(testbed: &mut Testbed) -> Result<()> {
    testbed.fault("A goes offline", |disk| {
        disk.set_state(A, ScsiState::Offline)
    })
}

fn go_online(testbed: &mut Testbed) -> Result<()> {
    testbed.release("A is running again", |disk| {
        disk.set_state(A, ScsiState::Running)
    })
}

pub(super) fn delete(testbed: &mut Testbed) -> Result<()> {
    testbed.fault("A is deleted", |disk| disk.delete(A))?;
    testbed.expect(A, Expectation::Gone, 30);
    testbed.expect_unchanged(B, Expectation::Active, 3);
    testbed.expect_io(20);
    testbed.release("A is found again", |disk| disk.rescan(A))?;
    testbed.expect(A, Expectation::Active, 30);
    Ok(())
}

pub(super) fn stop(testbed: &mut Testbed) -> Result<()> {
    testbed.fault("A's unit is stopped", |disk| disk.stop_unit(A))?;
    testbed.expect(A, Expectation::Failed, 30);
    testbed.release("A's unit is started", |disk| disk.start_unit(A))?;
    testbed.expect(A, Expectation::Active, 30);
    testbed.expect_io(30);
    Ok(())
}

pub(super) fn attention(testbed: &mut Testbed) -> Result<()> {
    // The first command after a reset gets the unit attention: one of the load if that is running,
    // else one of the checker.
    for paused in [false, true] {
        testbed.pause_load(paused);
        for _ in 0..4 {
            for path in PathId::BOTH {
                testbed.fault(&format!("{path} is reset"), |disk| disk.reset(path))?;
            }
            sleep(Duration::from_secs(1));
        }
    }
    testbed.pause_load(false);
    testbed.expect_unchanged(A, Expectation::Active, 2);
    testbed.expect_unchanged(B, Expectation::Active, 1);
    testbed.expect_io(20);
    Ok(())
}

pub(super) fn unmapped(testbed: &mut Testbed) -> Result<()> {
    testbed.fault("the unit is taken away", |_| scsi_debug::unmap_unit())?;
    testbed.expect_both(Expectation::Failed, 30);
    // The kernel fails the paths at once. A check that began before the fault may reinstate a path
    // once.
    sleep(Duration::from_secs(2));
    wait_until(Duration::from_secs(10), || {
        testbed.is(A, Expectation::Failed)
    });
    testbed.expect_unchanged(A, Expectation::Failed, 3);
    testbed.release("the unit is given back", |_| scsi_debug::map_unit())?;
    testbed.expect_both(Expectation::Active, 30);
    testbed.expect_io(30);
    Ok(())
}

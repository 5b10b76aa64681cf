// SPDX-License-Identifier: LGPL-2.0-or-later
//! Scenarios in which commands hang, and what other scenarios need to hang commands.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::guest::{
    disk::Disk,
    expectation::Expectation,
    lio,
    scsi_debug::{self, Fault},
    testbed::Testbed,
    wait::wait_until,
};

use crate::model::PathId::{A, B};
use crate::model::{Checker, Completion};

/// How long a command of the administrator may take once nothing hangs any more.
pub(super) const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// The end of a hang.
#[derive(Clone, Copy)]
pub(super) struct Release {
    what: &'static str,
    remove_fault: fn(&Disk) -> Result<()>,
}

/// The end of [`hang_commands`].
pub(super) const ANSWER: Release = Release {
    what: "commands are answered again",
    remove_fault: scsi_debug::remove_fault,
};

/// The end of [`quiesce_a`].
pub(super) const RESUME: Release = Release {
    what: "A's reads go on",
    remove_fault: |_| lio::resume(A),
};

impl Release {
    fn apply(self, testbed: &mut Testbed) -> Result<()> {
        testbed.release(self.what, self.remove_fault)
    }
}

pub(super) fn hang(testbed: &mut Testbed) -> Result<()> {
    inject_hang(testbed)?;
    testbed.expect_both(Expectation::Failed, 90);
    let seconds = testbed.effort().choose(10, 3);
    testbed.expect_unchanged(A, Expectation::Failed, seconds);
    ANSWER.apply(testbed)?;
    testbed.expect_both(Expectation::Active, 90);
    testbed.expect_io(90);
    Ok(())
}

pub(super) fn quiesce(testbed: &mut Testbed) -> Result<()> {
    quiesce_a(testbed)?;
    expect_quiesced(testbed);
    testbed.expect_unchanged(B, Expectation::Active, 5);
    RESUME.apply(testbed)?;
    testbed.expect_both(Expectation::Active, 30);
    testbed.expect_io(60);
    Ok(())
}

/// Expects the state of path A after [`quiesce_a`]: a checker that reads fails the path, one that
/// sends TEST UNIT READY cannot know.
pub(super) fn expect_quiesced(testbed: &mut Testbed) {
    match testbed.checker() {
        Checker::Directio | Checker::Readsector0 => testbed.expect(A, Expectation::Failed, 30),
        _ => testbed.expect_unchanged(A, Expectation::Active, 10),
    }
}

/// Hangs every command of both paths and waits until a check of each path is in flight.
pub(super) fn hang_commands(testbed: &mut Testbed) -> Result<()> {
    inject_hang(testbed)?;
    sleep(Duration::from_secs(2));
    Ok(())
}

fn inject_hang(testbed: &mut Testbed) -> Result<()> {
    testbed.fault("every command hangs", |_| {
        scsi_debug::inject(Fault::NoReply, 1)
    })
}

/// Hangs reads and writes of path A and waits until a check of it is in flight.
pub(super) fn quiesce_a(testbed: &mut Testbed) -> Result<()> {
    testbed.fault("A's reads hang", |_| lio::quiesce(A))?;
    sleep(Duration::from_secs(2));
    Ok(())
}

/// How long a device hangs before it is released. If it hung much longer, the kernel's error recovery
/// would take it offline.
pub(super) fn hang_time(testbed: &Testbed) -> Duration {
    Duration::from_secs(testbed.effort().choose(45, 10))
}

/// How an operation ended that began during a hang.
pub(super) struct DuringHang {
    pub(super) took: Duration,
    pub(super) completion: Completion,
}

/// Waits for an operation that should complete during a hang. If it does, `then` is called before
/// the release, else it should complete after the release.
pub(super) fn complete_during_hang(
    testbed: &mut Testbed,
    release: Release,
    mut is_complete: impl FnMut(&mut Testbed) -> bool,
    then: fn(&mut Testbed),
) -> Result<DuringHang> {
    let begin = Instant::now();
    if wait_until(hang_time(testbed), || is_complete(testbed)) {
        let took = begin.elapsed();
        then(testbed);
        release.apply(testbed)?;
        return Ok(DuringHang {
            took,
            completion: Completion::Completed,
        });
    }
    release.apply(testbed)?;
    let completion = match wait_until(COMMAND_LIMIT, || is_complete(testbed)) {
        true => Completion::AfterRelease,
        false => Completion::Incomplete,
    };
    Ok(DuringHang {
        took: begin.elapsed(),
        completion,
    })
}

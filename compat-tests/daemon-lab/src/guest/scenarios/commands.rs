// SPDX-License-Identifier: LGPL-2.0-or-later
//! Scenarios in which an administrator gives a command while a device hangs.

use std::time::Instant;

use anyhow::Result;

use super::hang::{
    ANSWER, COMMAND_LIMIT, RESUME, Release, complete_during_hang, expect_quiesced, hang_commands,
    hang_time, quiesce_a,
};
use crate::guest::{
    expectation::Expectation, listing::Listing, testbed::Testbed, wait::wait_until,
};
use crate::model::{Checker, Completion, Operation};

pub(super) fn list(testbed: &mut Testbed) -> Result<()> {
    let mut listing = Listing::start()?;
    let begin = Instant::now();
    let completion = match wait_until(COMMAND_LIMIT, || listing.has_ended()) {
        true => Completion::Completed,
        false => Completion::Incomplete,
    };
    let recorder = &testbed.recorder;
    recorder.took(Operation::ListHealthy, begin.elapsed(), completion);
    let [a, b] = listing.checker_states(testbed.disk().addresses())?;
    let both_ready = a == "ready" && b == "ready";
    recorder.step(format!("lists A {a}, B {b}"), both_ready);
    hang_commands(testbed)?;
    // The states depend on when the commands ended.
    let _any_states = list_during_hang(testbed, ANSWER)?;
    Ok(())
}

pub(super) fn quiesce_list(testbed: &mut Testbed) -> Result<()> {
    quiesce_a(testbed)?;
    let [a, b] = list_during_hang(testbed, RESUME)?;
    let a_is_right = match testbed.checker() {
        // An asynchronous read ends at the checker's time limit.
        Checker::Directio => a != "ready",
        // A synchronous read ends when A's reads go on; both results are possible.
        Checker::Readsector0 => true,
        _ => a == "ready",
    };
    let what = format!("listed A {a}, B {b}");
    testbed.recorder.step(what, a_is_right && b == "ready");
    Ok(())
}

/// Runs `multipath -ll` during a hang; returns the checker states that it shows.
fn list_during_hang(testbed: &mut Testbed, release: Release) -> Result<[String; 2]> {
    let mut listing = Listing::start()?;
    let hung = complete_during_hang(testbed, release, |_| listing.has_ended(), |_| ())?;
    let recorder = &testbed.recorder;
    recorder.took(Operation::ListHung, hung.took, hung.completion);
    testbed.expect_both(Expectation::Active, 90);
    listing.checker_states(testbed.disk().addresses())
}

pub(super) fn reconfigure(testbed: &mut Testbed) -> Result<()> {
    hang_commands(testbed)?;
    reconfigure_during_hang(testbed, ANSWER, |testbed| {
        testbed.expect_both(Expectation::Failed, 30);
    })
}

pub(super) fn quiesce_reconfigure(testbed: &mut Testbed) -> Result<()> {
    quiesce_a(testbed)?;
    reconfigure_during_hang(testbed, RESUME, expect_quiesced)
}

/// Has the daemon read its configuration, which drops all paths and discovers them again. `then`
/// checks the paths before the release.
fn reconfigure_during_hang(
    testbed: &mut Testbed,
    release: Release,
    then: fn(&mut Testbed),
) -> Result<()> {
    let before = testbed.configurations();
    // The reply may come before the work is done.
    testbed.send_command("reconfigure", COMMAND_LIMIT)?;
    let is_complete = |testbed: &mut Testbed| testbed.has_reconfigured(before);
    let hung = complete_during_hang(testbed, release, is_complete, then)?;
    let recorder = &testbed.recorder;
    recorder.took(Operation::ReconfigureHung, hung.took, hung.completion);
    testbed.expect_both(Expectation::Active, 90);
    testbed.expect_io(90);
    Ok(())
}

pub(super) fn shutdown(testbed: &mut Testbed) -> Result<()> {
    hang_commands(testbed)?;
    shutdown_during_hang(testbed, ANSWER)
}

pub(super) fn quiesce_shutdown(testbed: &mut Testbed) -> Result<()> {
    quiesce_a(testbed)?;
    shutdown_during_hang(testbed, RESUME)
}

/// Ends the daemon during a hang. Its work ends with the last line in its log. The process may last
/// longer, because the kernel keeps it until its asynchronous reads have ended.
fn shutdown_during_hang(testbed: &mut Testbed, release: Release) -> Result<()> {
    let begin = Instant::now();
    testbed.terminate_daemon()?;
    let hung = complete_during_hang(testbed, release, Testbed::daemon_ended, |_| ())?;
    let work = testbed.last_log_line_at().saturating_duration_since(begin);
    let (of_work, of_process) = match hung.completion {
        Completion::AfterRelease if work > hang_time(testbed) => {
            (Completion::AfterRelease, Completion::Completed)
        }
        Completion::AfterRelease => (Completion::Completed, Completion::Completed),
        completion => (completion, completion),
    };
    let recorder = &testbed.recorder;
    recorder.took(Operation::ShutdownWorkHung, work, of_work);
    recorder.took(Operation::ProcessEndHung, hung.took, of_process);
    testbed.start_daemon()?;
    testbed.expect_both(Expectation::Active, 90);
    testbed.expect_io(90);
    Ok(())
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! No call may wait for a device, whatever the device does: thousands of random sequences for every
//! plugin in every ABI. Upstream's plugins run a few, to show that waiting is noticed.
//!
//! Devices hang wherever a block or SCSI device can: in a read (of a file, and of a loop device over
//! one), in the submission of one (a full queue), in a command. Two waits are not the plugins':
//! `libcheck_init` and `libcheck_free` ask for flags and block sizes (fcntl, ioctl, fstat), which the
//! kernel knows of a block device but requests from the server of a *file* on a FUSE file system; and
//! the kernel keeps a process that has ended until its asynchronous reads have ended.

#![forbid(unsafe_code)]

use crate::latency::{LatencyCheck, has_waited, with_host};
use crate::operations::{self, Operation};
use crate::options::{Options, Subject};
use crate::report::Report;
use crate::test_host::{Kind, Layout, TestHost};
use crate::{crowds, exit};
use harness::{Result, Trouble};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::RefCell;
use std::time::Duration;

/// Two paths share each device, as two paths to one disk do. The last device is a loop device, if they
/// are files at all.
const DEVICES: usize = 4;
const PATHS: usize = 2 * DEVICES;

/// After this many sequences the resources in use are checked.
const CHECK_EVERY: u32 = 50;

/// Upstream's plugins run this many sequences.
const SEQUENCES_FOR_UPSTREAM: u32 = 4;

/// How long a sequence that fails is made shorter.
const SHRINK_FOR: Duration = Duration::from_secs(30);

/// Of this many sequences one may be slow when it runs first.
const SLOW_ONCE_IN: usize = 20;

/// Tests every plugin.
pub(crate) fn run(options: &Options, report: &mut Report) {
    let layout = Layout {
        device_of: (0..PATHS).map(|path| path % DEVICES).collect(),
        loops_from: DEVICES - 1,
    };
    let ours = options.ours();
    if ours.is_empty() {
        let why = format!("no plugins in {}", options.ours.display());
        report.end("never waits", Err(Trouble::NotHere(why)));
    }
    for subject in &ours {
        let name = format!("never waits: {}", subject.name());
        with_host(subject, &layout, &name, report, |host, check| {
            random(options, host, check)
        });
        report.add_sequences(options.sequences.into());
        crowds::run(subject, report);
        exit::run(subject, report);
    }
    if options.upstream.is_empty() {
        let why = "no upstream plugins, which show that waiting is noticed".to_owned();
        report.end("noticed", Err(Trouble::NotHere(why)));
    }
    for subject in &options.upstream() {
        let name = format!("noticed: {}", subject.name());
        with_host(subject, &layout, &name, report, |host, check| {
            noticed(options, host, check, subject)
        });
        crowds::run_upstream(subject, report);
    }
}

/// Random sequences; the shortest one that fails is printed.
fn random(options: &Options, host: &mut TestHost, check: &mut LatencyCheck) -> Result<String> {
    let base = host.usage()?;
    let shared = RefCell::new((host, check, 0));
    let result = runner(options).run(
        &operations::sequences(PATHS, DEVICES),
        |sequence: Vec<Operation>| {
            let (host, check, count) = &mut *shared.borrow_mut();
            *count += 1;
            check
                .run(host, |host| operations::run(host, DEVICES, &sequence))
                .and_then(|()| match *count % CHECK_EVERY {
                    0 => host.rest(base),
                    _ => Ok(()),
                })
                .map_err(|trouble| TestCaseError::fail(trouble.to_string()))
        },
    );
    let (_, check, _) = shared.into_inner();
    let why = match result {
        Ok(()) if check.slow_once() * SLOW_ONCE_IN > options.sequences as usize => format!(
            "{} of {} sequences held a call up the first time",
            check.slow_once(),
            options.sequences
        ),
        Ok(()) => return Ok(check.times.describe()),
        Err(TestError::Fail(why, sequence)) => format!("{why}\n        {sequence:?}"),
        Err(TestError::Abort(why)) => why.to_string(),
    };
    Err(Trouble::Broken(why))
}

fn runner(options: &Options) -> TestRunner {
    let mut seed = [0; 32];
    for (place, byte) in seed.iter_mut().zip(options.seed.to_le_bytes()) {
        *place = byte;
    }
    let config = Config {
        cases: options.sequences,
        failure_persistence: None,
        max_shrink_iters: 200,
        max_shrink_time: SHRINK_FOR.as_millis() as u32,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

/// A few of the same sequences with an upstream plugin. Five of the SCSI checkers have to be noticed:
/// they send their commands on the caller's thread.
fn noticed(
    options: &Options,
    host: &mut TestHost,
    check: &mut LatencyCheck,
    subject: &Subject,
) -> Result<String> {
    let sequences = operations::sequences(PATHS, DEVICES);
    let mut runner = runner(options);
    for _ in 0..SEQUENCES_FOR_UPSTREAM {
        let sequence = sequences
            .new_tree(&mut runner)
            .map_err(|why| Trouble::Broken(why.to_string()))?;
        let result = operations::run(host, DEVICES, &sequence.current());
        check.times.add(&host.take_times());
        result?;
    }
    match host.kind() == Kind::Scsi && subject.checker != "tur" {
        true => has_waited(check),
        false => Ok(check.times.describe()),
    }
}

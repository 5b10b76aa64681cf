// SPDX-License-Identifier: LGPL-2.0-or-later

//! The asynchronous protocol under many hosts' threads at a time: no check may be lost, and no
//! verdict go to another path. Worth running under ThreadSanitizer.

#![expect(clippy::unwrap_used, reason = "a test may fail where it likes")]

use checkers_core::{
    Asynchronous, Call, Checker, Delivery, MapMemory, MessageId, Messages, Mode, Monotonic,
    NoLogRecord, Outcome, PathState, Probe, Seconds, Task, Verdict,
};
use std::cell::Cell;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// The first of the descriptor numbers that the test uses. None of them is open, so that a run uses the
/// number itself instead of a duplicate, and the number identifies the device.
const FIRST: RawFd = 1_000_000_000;

const HOSTS: RawFd = 8;
const INSTANCES: RawFd = 400;

/// A device that takes its time now and then, and has something to do before its first check.
struct Device;

impl Probe for Device {
    const NAME: &'static str = "stress";
    const MESSAGES: Messages = Messages::COMMON;
    const HAS_SETUP: bool = true;
    type Memory = i32;
    type LogRecord = NoLogRecord;
    type LastReply = RawFd;

    fn setup(_task: &Task<'_, ()>) -> Option<NoLogRecord> {
        std::thread::yield_now();
        None
    }

    fn probe(task: &mut Task<'_, i32>) -> Outcome<Self> {
        let device = task.fd - FIRST;
        if device % 7 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
        task.memory += 1;
        Outcome {
            // The message identifies the device of this verdict.
            verdict: Verdict::new(PathState::Up, MessageId::from_raw(device as i16)),
            record: None,
            last_reply: Some(device),
        }
    }
}

thread_local! {
    static SECOND: Cell<u64> = const { Cell::new(1000) };
}

fn clock() -> Monotonic {
    Monotonic {
        seconds: SECOND.get(),
        nanos: 0,
    }
}

fn run_path(device: RawFd) {
    let mut call = Call {
        fd: FIRST + device,
        timeout: Seconds(5),
        mode: Mode::Async,
        delivery: if device % 3 == 0 {
            Delivery::InCheck
        } else {
            Delivery::Pending
        },
        path_state: PathState::Unchecked,
        map: MapMemory::Absent,
        clock,
    };
    let mut checker = Asynchronous::<Device>::init(&call).instance.unwrap();
    let mine = Verdict::new(PathState::Up, MessageId::from_raw(device as i16));
    for round in 0..device % 5 {
        let first = checker.check(&call).verdict;
        match (device + round) % 4 {
            // The host comes back when the time limit has passed.
            0 if first != mine => {
                SECOND.set(SECOND.get() + 6);
                let second = checker.check(&call).verdict;
                // A run that no worker has begun is not late.
                let states = [PathState::Timeout, PathState::Unchecked];
                assert!(
                    second == mine || states.contains(&second.state),
                    "{second:?}"
                );
            }
            1 => {
                call.mode = Mode::Sync;
                assert_eq!(checker.check(&call).verdict, mine);
                call.mode = Mode::Async;
            }
            _ => {
                let start = Instant::now();
                let mut verdict = first;
                while verdict.state == PathState::Pending {
                    assert!(
                        start.elapsed() < Duration::from_secs(20),
                        "a check was lost"
                    );
                    std::thread::yield_now();
                    verdict = checker.pending(&call).verdict;
                }
                assert!(
                    verdict == mine || verdict.state == PathState::Timeout,
                    "{verdict:?}"
                );
            }
        }
    }
    // Freed with a check queued, executed or ended.
    call.delivery = Delivery::Pending;
    checker.check(&call);
    checker.free(&call);
}

#[test]
fn no_check_is_lost_and_no_verdict_reaches_another_path() {
    stress();
    // Again, with waiting threads that spin first.
    checkers_core::spin::allow();
    stress();
}

fn stress() {
    std::thread::scope(|scope| {
        for host in 0..HOSTS {
            scope.spawn(move || {
                for instance in 0..INSTANCES {
                    run_path(instance * HOSTS + host);
                    if instance % 40 == 0 {
                        Asynchronous::<Device>::reset();
                    }
                }
            });
        }
    });
}

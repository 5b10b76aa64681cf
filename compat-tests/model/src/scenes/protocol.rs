// SPDX-License-Identifier: LGPL-2.0-or-later

//! Hosts check paths of devices some of which hang, in both deliveries and now and then synchronously.

use crate::schedule::{Gate, all_threads_end, begin, gate, require};
use checkers_core::sync::{self, below, chance, thread};
use checkers_core::{
    Asynchronous, Call, Checker, Delivery, MapMemory, MessageId, Messages, Mode, Monotonic,
    NoLogRecord, Outcome, PathState, Probe, Reported, Seconds, Task, Verdict,
};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::os::fd::RawFd;
use std::time::Duration;

thread_local! {
    // shuttle runs all threads of a schedule on one.
    /// The devices whose paths have been freed.
    static FREED: RefCell<BTreeSet<u32>> = const { RefCell::new(BTreeSet::new()) };
    /// The descriptors of paths that have not been freed.
    static PATHS: RefCell<BTreeSet<RawFd>> = const { RefCell::new(BTreeSet::new()) };
    /// The descriptors of runs that have begun a command since their path was freed.
    static AFTER_FREE: RefCell<BTreeSet<RawFd>> = const { RefCell::new(BTreeSet::new()) };
}

struct Device;

/// Sends one command, which may hang, unless the check has been cancelled. Returns the device that got it.
fn command<M>(task: &Task<'_, M>, may_hang: bool) -> Option<u32> {
    if task.cancelled() {
        return None;
    }
    let device = sync::device_of(task.fd);
    require(device.is_some(), "a command to a descriptor that is closed");
    let device = device?;
    if FREED.with_borrow(|freed| freed.contains(&device)) {
        // One command of a run may follow: the path may be freed between the question and the command.
        let first = AFTER_FREE.with_borrow_mut(|after| after.insert(task.fd));
        require(first, "a command is begun after its path was freed");
    }
    thread::yield_now();
    // The descriptors of paths; those of runs are duplicates.
    let in_sync = PATHS.with_borrow(|paths| paths.contains(&task.fd));
    if may_hang && !in_sync && chance(25) {
        gate().pass();
    } else {
        // Long, where it takes the place of hanging.
        let steps = if may_hang { 3 } else { 40 };
        (0..below(steps)).for_each(|_| thread::yield_now());
    }
    Some(device)
}

/// Whether the setup commands of a device may hang, so that a synchronous check would wait for the gate.
fn setup_may_hang(device: u32) -> bool {
    device % 2 == 0
}

fn verdict_of(device: u32) -> Verdict {
    Verdict::new(PathState::Up, MessageId::from_raw(device as i16))
}

/// What is returned for a check that was cancelled, and must not be seen.
const CANCELLED: Verdict = Verdict::silent(PathState::Wild);

impl Probe for Device {
    const NAME: &'static str = "model";
    const MESSAGES: Messages = Messages::COMMON;
    const HAS_SETUP: bool = true;
    /// The device that the path has been found to lead to.
    type Memory = Option<u32>;
    type LogRecord = NoLogRecord;
    type LastReply = RawFd;

    fn setup(task: &Task<'_, ()>) -> Option<NoLogRecord> {
        let device = sync::device_of(task.fd);
        command(task, device.is_some_and(setup_may_hang));
        None
    }

    fn probe(task: &mut Task<'_, Option<u32>>) -> Outcome<Self> {
        for _ in 0..1 + below(2) {
            let Some(device) = command(task, true) else {
                return CANCELLED.into();
            };
            let known = *task.memory.get_or_insert(device);
            require(device == known, "the device or the memory of another path");
        }
        task.memory.map_or(CANCELLED, verdict_of).into()
    }
}

fn clock() -> Monotonic {
    Monotonic {
        seconds: sync::now().as_secs(),
        nanos: 0,
    }
}

/// One path from `init` to `free`.
fn path(device: u32) {
    let mut call = Call {
        fd: sync::open(device),
        timeout: Seconds(5),
        mode: Mode::Async,
        delivery: match chance(50) {
            true => Delivery::InCheck,
            false => Delivery::Pending,
        },
        path_state: PathState::Unchecked,
        map: MapMemory::Absent,
        clock,
    };
    PATHS.with_borrow_mut(|paths| paths.insert(call.fd));
    let init = Asynchronous::<Device>::init(&call);
    let mut checker = init.instance.expect("memory");
    let allowed = |Reported { verdict, .. }: Reported| {
        let without = [PathState::Pending, PathState::Timeout, PathState::Unchecked];
        assert!(
            verdict == verdict_of(device) || without.contains(&verdict.state),
            "{verdict:?}"
        );
    };
    for _ in 0..below(5) {
        allowed(checker.check(&call));
        if (!setup_may_hang(device) || gate().is_open()) && chance(50) {
            call.mode = Mode::Sync;
            assert_eq!(checker.check(&call).verdict, verdict_of(device));
            call.mode = Mode::Async;
        }
        if chance(40) {
            sync::pass(Duration::from_secs(6));
            allowed(checker.check(&call));
        }
        for _ in 0..below(4) {
            if checker.need_wait() {
                thread::yield_now();
            }
            allowed(checker.pending(&call));
        }
    }
    checker.free(&call);
    FREED.with_borrow_mut(|freed| freed.insert(device));
    PATHS.with_borrow_mut(|paths| paths.remove(&call.fd));
    sync::close(call.fd);
}

/// Runs the scene.
pub(crate) fn run(failing_spawns: u32) {
    begin(failing_spawns);
    FREED.take();
    AFTER_FREE.take();
    PATHS.take();
    let hosts: Vec<_> = (0..3)
        .map(|host| {
            thread::spawn(move || {
                for round in 0..3 {
                    path(1 + host + 3 * round);
                    if chance(30) {
                        Asynchronous::<Device>::reset();
                    }
                    if chance(20) {
                        gate().open();
                    }
                }
            })
        })
        .collect();
    for host in hosts {
        host.join().expect("a host");
    }
    Gate::open(&gate());
    all_threads_end(|| Asynchronous::<Device>::slots_in_use() == 0);
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! What happens to checks and setup commands when the system gives no thread for a while.
//!
//! One test at a time: the supply of threads is that of the process.

#![expect(clippy::unwrap_used, reason = "a test may fail where it likes")]

use checkers_core::{
    Asynchronous, Call, Checker, Delivery, LogRecord, MapMemory, Messages, Mode, Monotonic,
    Outcome, PathState, Probe, Seconds, Task, Verdict, pool,
};
use std::cell::Cell;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

/// How many threads may still be started; below zero counts the refusals.
static SUPPLY: AtomicI32 = AtomicI32::new(0);

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Descriptor numbers that are never open. The device of this one hangs while [`HOLD`] is 1.
const HANGS: RawFd = 1_000_000_000;
const HEALTHY: RawFd = 1_000_000_001;

static HOLD: AtomicUsize = AtomicUsize::new(0);
static HUNG: AtomicUsize = AtomicUsize::new(0);
static SETUPS: AtomicUsize = AtomicUsize::new(0);
static LOG_RECORDS: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Copy)]
struct Prepared;

impl LogRecord for Prepared {
    fn emit(&self) {
        LOG_RECORDS.fetch_add(1, SeqCst);
    }
}

struct Device;

impl Probe for Device {
    const NAME: &'static str = "device";
    const MESSAGES: Messages = Messages::COMMON;
    const HAS_SETUP: bool = true;
    type Memory = ();
    type LogRecord = Prepared;
    type LastReply = ();

    fn setup(task: &Task<'_, ()>) -> Option<Prepared> {
        if task.fd == HANGS {
            HUNG.fetch_add(1, SeqCst);
            while HOLD.load(SeqCst) == 1 {
                std::thread::sleep(Duration::from_millis(1));
            }
            HUNG.fetch_sub(1, SeqCst);
        } else {
            SETUPS.fetch_add(1, SeqCst);
        }
        Some(Prepared)
    }

    fn probe(_task: &mut Task<'_, ()>) -> Outcome<Self> {
        Verdict::UP.into()
    }
}

/// Threads of the pool, hung ones included.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

fn spawn(body: fn()) -> io::Result<()> {
    if SUPPLY.fetch_sub(1, SeqCst) > 0 {
        ALIVE.fetch_add(1, SeqCst);
        let counted = move || {
            body();
            ALIVE.fetch_sub(1, SeqCst);
        };
        std::thread::Builder::new().spawn(counted).map(drop)
    } else {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// A process without threads of the pool.
fn begin() -> MutexGuard<'static, ()> {
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    static ONCE: Once = Once::new();
    ONCE.call_once(|| pool::set_spawner(spawn));
    HOLD.store(0, SeqCst);
    // Threads of an earlier test end. One that was not idle yet is dismissed the next time.
    SUPPLY.store(1000, SeqCst);
    within(|| {
        pool::POOL.dismiss_idle();
        ALIVE.load(SeqCst) == 0
    });
    SETUPS.store(0, SeqCst);
    LOG_RECORDS.store(0, SeqCst);
    guard
}

thread_local! {
    /// The time of one test.
    static SECOND: Cell<u64> = const { Cell::new(1000) };
}

fn call(fd: RawFd, mode: Mode) -> Call {
    Call {
        fd,
        timeout: Seconds(5),
        mode,
        delivery: Delivery::Pending,
        path_state: PathState::Unchecked,
        map: MapMemory::Absent,
        clock: || Monotonic {
            seconds: SECOND.get(),
            nanos: 0,
        },
    }
}

fn within(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "never happened");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A path whose setup commands hang on the only worker.
fn hang_the_only_worker() -> (Asynchronous<Device>, Call) {
    HOLD.store(1, SeqCst);
    // The starter, and one worker.
    SUPPLY.store(2, SeqCst);
    let call = call(HANGS, Mode::Async);
    let path = Asynchronous::<Device>::init(&call).instance.unwrap();
    within(|| HUNG.load(SeqCst) == 1);
    SUPPLY.store(0, SeqCst);
    (path, call)
}

#[test]
fn a_check_queued_while_no_thread_can_be_had_runs_as_soon_as_one_can() {
    let _guard = begin();
    let (hung, hung_call) = hang_the_only_worker();
    let call = call(HEALTHY, Mode::Async);
    let mut path = Asynchronous::<Device>::init(&call).instance.unwrap();
    let verdict = path.check(&call).verdict;
    assert_eq!(verdict.state, PathState::Pending);
    within(|| SUPPLY.load(SeqCst) <= -3);
    SUPPLY.store(1000, SeqCst);
    // No further check is started: the queued one has to run.
    within(|| path.pending(&call).verdict == Verdict::UP);
    assert_eq!(SETUPS.load(SeqCst), 1);
    path.free(&call);
    HOLD.store(0, SeqCst);
    hung.free(&hung_call);
}

#[test]
fn a_synchronous_check_sends_setup_commands_for_which_there_was_no_thread() {
    let _guard = begin();
    SUPPLY.store(0, SeqCst);
    let call = call(HEALTHY, Mode::Sync);
    let mut path = Asynchronous::<Device>::init(&call).instance.unwrap();
    for _ in 0..2 {
        assert_eq!(path.check(&call).verdict, Verdict::UP);
        assert_eq!((SETUPS.load(SeqCst), LOG_RECORDS.load(SeqCst)), (1, 1));
    }
    path.free(&call);
}

#[test]
fn a_synchronous_check_does_not_wait_behind_the_device_of_another_path() {
    let _guard = begin();
    let (hung, hung_call) = hang_the_only_worker();
    // Released in the end all the same, so that a failure is one.
    let watchdog = std::thread::spawn(|| {
        let start = Instant::now();
        while HOLD.load(SeqCst) == 1 && start.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
        HOLD.store(0, SeqCst);
    });
    let call = call(HEALTHY, Mode::Sync);
    let mut path = Asynchronous::<Device>::init(&call).instance.unwrap();
    assert_eq!(path.check(&call).verdict, Verdict::UP);
    assert_eq!(HOLD.load(SeqCst), 1, "the other device was waited for");
    assert_eq!((SETUPS.load(SeqCst), LOG_RECORDS.load(SeqCst)), (1, 1));
    path.free(&call);
    HOLD.store(0, SeqCst);
    hung.free(&hung_call);
    watchdog.join().unwrap();
}

#[test]
fn the_note_of_setup_commands_that_end_late_is_emitted() {
    let _guard = begin();
    let (mut path, call) = hang_the_only_worker();
    assert_eq!(LOG_RECORDS.load(SeqCst), 0);
    HOLD.store(0, SeqCst);
    within(|| HUNG.load(SeqCst) == 0);
    SUPPLY.store(1000, SeqCst);
    path.check(&call);
    within(|| path.pending(&call).verdict == Verdict::UP);
    assert_eq!(LOG_RECORDS.load(SeqCst), 1);
    path.free(&call);
}

#[test]
fn a_run_that_no_worker_has_begun_is_unchecked_at_the_limit_and_goes_on() {
    let _guard = begin();
    let (hung, hung_call) = hang_the_only_worker();
    let call = call(HEALTHY, Mode::Async);
    let mut path = Asynchronous::<Device>::init(&call).instance.unwrap();
    assert_eq!(path.check(&call).verdict.state, PathState::Pending);
    SECOND.set(1005);
    assert_eq!(path.check(&call).verdict.state, PathState::Pending);
    for second in [1006, 1012] {
        SECOND.set(second);
        let unchecked = Verdict::new(PathState::Unchecked, Device::MESSAGES.not_started());
        assert_eq!(path.check(&call).verdict, unchecked);
    }
    assert_eq!(path.check(&call).verdict.state, PathState::Pending);
    SUPPLY.store(1000, SeqCst);
    within(|| path.pending(&call).verdict == Verdict::UP);
    path.free(&call);
    HOLD.store(0, SeqCst);
    hung.free(&hung_call);
}

#[test]
fn the_time_that_a_run_was_seen_queued_does_not_count_against_the_device() {
    let _guard = begin();
    let (hung, hung_call) = hang_the_only_worker();
    let call = call(HANGS, Mode::Async);
    let mut path = Asynchronous::<Device>::init(&call).instance.unwrap();
    assert_eq!(path.check(&call).verdict.state, PathState::Pending);
    SECOND.set(1004);
    assert_eq!(path.check(&call).verdict.state, PathState::Pending);
    SUPPLY.store(1000, SeqCst);
    within(|| HUNG.load(SeqCst) == 2);
    for (second, state) in [
        (1006, PathState::Pending),
        (1009, PathState::Pending),
        (1010, PathState::Timeout),
    ] {
        SECOND.set(second);
        assert_eq!(path.check(&call).verdict.state, state, "at {second}");
    }
    path.free(&call);
    HOLD.store(0, SeqCst);
    hung.free(&hung_call);
}

#[test]
fn a_check_that_was_refused_for_want_of_threads_is_made_by_the_next() {
    let _guard = begin();
    SUPPLY.store(0, SeqCst);
    let call = call(HEALTHY, Mode::Async);
    let mut path = Asynchronous::<Device>::init(&call).instance.unwrap();
    for _ in 0..2 {
        let refused = Verdict::new(PathState::Unchecked, Device::MESSAGES.not_started());
        assert_eq!(path.check(&call).verdict, refused);
    }
    SUPPLY.store(1000, SeqCst);
    assert_eq!(path.check(&call).verdict.state, PathState::Pending);
    within(|| path.pending(&call).verdict == Verdict::UP);
    assert_eq!((SETUPS.load(SeqCst), LOG_RECORDS.load(SeqCst)), (1, 1));
    path.free(&call);
}

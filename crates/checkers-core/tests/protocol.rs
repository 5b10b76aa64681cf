// SPDX-License-Identifier: LGPL-2.0-or-later

//! The asynchronous protocol, driven as hosts drive it, over devices that do what the test says.
//!
//! Every test has a device type of its own (and with it slots of its own); the pool of workers is
//! shared, as in a daemon.

#![expect(clippy::unwrap_used, reason = "a test may fail where it likes")]

use checkers_core::{
    Asynchronous, Call, Checker, Delivery, LogRecord, MapMemory, MessageId, Messages, Mode,
    Monotonic, NoLogRecord, Outcome, PathState, Probe, Reported, Seconds, Task, Verdict,
};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

const STILL_RUNNING: Verdict = Verdict::new(PathState::Pending, Messages::COMMON.running());
const TIMEOUT: Verdict = Verdict::new(PathState::Timeout, Messages::COMMON.timed_out());

/// The first of the descriptor numbers that the tests use. None of them is open, so a run uses the number
/// itself instead of a duplicate, and the number identifies the device.
const FIRST: RawFd = 1_000_000_000;

/// What the devices of one test do and have seen, by their numbers counted from [`FIRST`].
struct Lab {
    state: Mutex<Option<LabState>>,
    change: Condvar,
}

#[derive(Default)]
struct LabState {
    hung: HashSet<RawFd>,
    commands: HashMap<RawFd, usize>,
    waiting: usize,
    workers: HashSet<ThreadId>,
}

impl Lab {
    const fn new() -> Lab {
        Lab {
            state: Mutex::new(None),
            change: Condvar::new(),
        }
    }

    fn with<T>(&self, update: impl FnOnce(&mut LabState) -> T) -> T {
        let mut state = self.state.lock().unwrap();
        let result = update(state.get_or_insert_default());
        self.change.notify_all();
        result
    }

    fn hang(&self, fd: RawFd) {
        self.with(|lab| lab.hung.insert(fd));
    }

    fn release(&self, fd: RawFd) {
        self.with(|lab| lab.hung.remove(&fd));
    }

    fn commands(&self, fd: RawFd) -> usize {
        self.with(|lab| lab.commands.get(&fd).copied().unwrap_or(0))
    }

    /// What a command to `fd` does: it is counted, and stays away while the device hangs.
    fn command(&self, fd: RawFd) {
        let fd = fd - FIRST;
        let mut state = self.state.lock().unwrap();
        let lab = state.get_or_insert_default();
        *lab.commands.entry(fd).or_default() += 1;
        lab.workers.insert(std::thread::current().id());
        lab.waiting += 1;
        while state.as_ref().unwrap().hung.contains(&fd) {
            state = self.change.wait(state).unwrap();
        }
        state.as_mut().unwrap().waiting -= 1;
    }

    /// Waits until exactly `count` commands are in flight.
    fn wait_for_waiting(&self, count: usize) {
        within(|| self.with(|lab| lab.waiting) == count);
    }
}

/// Waits for something that another thread is about to do.
fn within(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "it never happened"
        );
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Declares a device type with a lab: `$probe` is what its probe does with the task.
macro_rules! device {
    ($name:ident, $lab:ident, $memory:ty, |$task:ident| $probe:expr) => {
        static $lab: Lab = Lab::new();
        struct $name;
        impl Probe for $name {
            const NAME: &'static str = stringify!($name);
            const MESSAGES: Messages = Messages::COMMON;
            type Memory = $memory;
            type LogRecord = NoLogRecord;
            type LastReply = ();
            fn probe($task: &mut Task<'_, $memory>) -> Outcome<Self> {
                $probe
            }
        }
    };
}

thread_local! {
    /// Tests move their own clock; each runs on a thread of its own.
    static SECOND: Cell<u64> = const { Cell::new(1000) };
}

fn clock() -> Monotonic {
    Monotonic {
        seconds: SECOND.get(),
        nanos: 0,
    }
}

fn pass(seconds: u64) {
    SECOND.set(SECOND.get() + seconds);
}

fn host_call(device: RawFd, delivery: Delivery) -> Call {
    Call {
        fd: FIRST + device,
        timeout: Seconds(5),
        mode: Mode::Async,
        delivery,
        path_state: PathState::Unchecked,
        map: MapMemory::Absent,
        clock,
    }
}

/// A path under a host of 0.11.0 or later.
struct Path<P: Probe> {
    call: Call,
    checker: Asynchronous<P>,
}

impl<P: Probe> Path<P> {
    fn new(fd: RawFd) -> Path<P> {
        let call = host_call(fd, Delivery::Pending);
        let checker = Asynchronous::init(&call).instance.unwrap();
        Path { call, checker }
    }

    fn check(&mut self) -> Verdict {
        let reported = self.checker.check(&self.call);
        self.store(reported)
    }

    /// What a host does with a report.
    fn store(&mut self, Reported { verdict, map }: Reported) -> Verdict {
        self.call.path_state = verdict.state;
        self.call.map = map.map_or(self.call.map, MapMemory::Set);
        verdict
    }

    fn check_in_sync(&mut self) -> Verdict {
        let call = Call {
            mode: Mode::Sync,
            ..self.call
        };
        self.checker.check(&call).verdict
    }

    fn pending(&mut self) -> Verdict {
        let reported = self.checker.pending(&self.call);
        self.store(reported)
    }

    /// Asks until the verdict is there.
    fn collect(&mut self) -> Verdict {
        let mut verdict = STILL_RUNNING;
        within(|| {
            verdict = self.pending();
            verdict != STILL_RUNNING
        });
        verdict
    }

    fn free(self) {
        self.checker.free(&self.call);
    }
}

device!(Healthy, HEALTHY, (), |task| {
    HEALTHY.command(task.fd);
    Verdict::UP.into()
});

#[test]
fn a_check_is_started_and_collected() {
    let mut path = Path::<Healthy>::new(1);
    assert_eq!(path.check(), STILL_RUNNING);
    assert_eq!(path.collect(), Verdict::UP);
    assert!(!path.checker.need_wait());
    // Nothing runs now: the host's own state comes back, without a message.
    assert_eq!(path.pending(), Verdict::silent(PathState::Up));
    assert_eq!(HEALTHY.commands(1), 1);
    path.free();
}

#[test]
fn a_wait_is_worth_while_only_between_the_start_and_the_first_poll() {
    HEALTHY.hang(2);
    let mut path = Path::<Healthy>::new(2);
    assert!(!path.checker.need_wait());
    path.check();
    assert!(path.checker.need_wait());
    assert_eq!(path.pending(), STILL_RUNNING);
    assert!(!path.checker.need_wait());
    HEALTHY.release(2);
    assert_eq!(path.collect(), Verdict::UP);
    path.free();
}

#[test]
fn older_hosts_get_the_verdict_of_a_quick_device_from_check() {
    let call = host_call(3, Delivery::InCheck);
    let mut checker = Asynchronous::<Healthy>::init(&call).instance.unwrap();
    // The machine may be busy, so a few attempts may take longer than the wait.
    within(|| checker.check(&call).verdict == Verdict::UP);
    HEALTHY.hang(3);
    let start = Instant::now();
    assert_eq!(checker.check(&call).verdict, STILL_RUNNING);
    assert_eq!(checker.check(&call).verdict, STILL_RUNNING);
    assert!(start.elapsed() < Duration::from_secs(1));
    HEALTHY.release(3);
    within(|| checker.check(&call).verdict == Verdict::UP);
    checker.free(&call);
}

device!(Stalling, STALLING, (), |task| {
    STALLING.command(task.fd);
    Verdict::UP.into()
});

#[test]
fn one_extra_run_beside_a_hung_one_then_timeout_until_it_is_back() {
    STALLING.hang(1);
    let mut path = Path::<Stalling>::new(1);
    assert_eq!(path.check(), STILL_RUNNING);
    STALLING.wait_for_waiting(1);
    pass(5);
    assert_eq!(path.check(), STILL_RUNNING, "not late at exactly the limit");
    pass(1);
    assert_eq!(path.check(), TIMEOUT);
    assert_eq!(path.pending(), Verdict::silent(PathState::Timeout));

    assert_eq!(path.check(), STILL_RUNNING, "the extra run");
    STALLING.wait_for_waiting(2);
    pass(6);
    assert_eq!(path.check(), TIMEOUT);
    for _ in 0..10 {
        pass(6);
        assert_eq!(path.check(), TIMEOUT);
    }
    assert_eq!(STALLING.commands(1), 2);

    STALLING.release(1);
    STALLING.wait_for_waiting(0);
    within(|| path.check() == STILL_RUNNING);
    assert_eq!(path.collect(), Verdict::UP);
    assert_eq!(STALLING.commands(1), 3);
    path.free();
}

static FICKLE_COMMANDS: AtomicUsize = AtomicUsize::new(0);

// Every second command hangs.
device!(Fickle, FICKLE, (), |_task| {
    let number = FICKLE_COMMANDS.fetch_add(1, Ordering::SeqCst) as RawFd;
    if number % 2 == 0 {
        FICKLE.hang(number);
    }
    FICKLE.command(FIRST + number);
    Verdict::UP.into()
});

#[test]
fn two_runs_of_a_path_hang_at_most_however_often_one_comes_back() {
    let mut path = Path::<Fickle>::new(1);
    for _ in 0..40 {
        let number = FICKLE_COMMANDS.load(Ordering::SeqCst);
        if path.check() == STILL_RUNNING {
            within(|| FICKLE_COMMANDS.load(Ordering::SeqCst) > number);
            if number % 2 == 0 {
                within(|| FICKLE.commands(number as RawFd) == 1);
                pass(6);
                assert_eq!(path.check(), TIMEOUT);
            } else {
                assert_eq!(path.collect(), Verdict::UP);
            }
        }
        let hung = FICKLE.with(|lab| lab.waiting);
        assert!(hung <= 2, "{hung} hung runs");
    }
    assert_eq!(FICKLE.with(|lab| lab.waiting), 2);
    path.free();
    for number in 0..FICKLE_COMMANDS.load(Ordering::SeqCst) {
        FICKLE.release(number as RawFd);
    }
    FICKLE.wait_for_waiting(0);
}

device!(Late, LATE, (), |task| {
    LATE.command(task.fd);
    Verdict::UP.into()
});

#[test]
fn a_result_that_is_there_counts_even_after_the_limit() {
    let mut path = Path::<Late>::new(1);
    path.check();
    within(|| !path.checker.need_wait());
    pass(60);
    assert_eq!(path.check(), Verdict::UP);
    path.free();
}

#[test]
fn a_result_that_comes_after_timeout_is_dropped() {
    LATE.hang(2);
    let mut path = Path::<Late>::new(2);
    path.check();
    within(|| LATE.commands(2) == 1);
    pass(6);
    assert_eq!(path.check(), TIMEOUT);
    LATE.release(2);
    // Whether the worker has given the slot back by now or not: what runs is a new check.
    assert_eq!(path.check(), STILL_RUNNING);
    assert_eq!(path.collect(), Verdict::UP);
    assert_eq!(LATE.commands(2), 2);
    path.free();
}

device!(Retrying, RETRYING, (), |task| {
    for _ in 0..1000 {
        if task.cancelled() {
            break;
        }
        RETRYING.command(task.fd);
    }
    Verdict::DOWN.into()
});

#[test]
fn no_command_is_sent_after_free() {
    for fd in 0..50 {
        RETRYING.hang(fd);
        let mut path = Path::<Retrying>::new(fd);
        path.check();
        within(|| RETRYING.commands(fd) == 1);
        path.free();
        RETRYING.release(fd);
    }
    RETRYING.wait_for_waiting(0);
    for fd in 0..50 {
        assert_eq!(RETRYING.commands(fd), 1, "path {fd}");
    }
}

#[test]
fn no_command_is_sent_after_a_timeout() {
    let device = 100;
    RETRYING.hang(device);
    let mut path = Path::<Retrying>::new(device);
    path.check();
    within(|| RETRYING.commands(device) == 1);
    pass(6);
    assert_eq!(path.check(), TIMEOUT);
    RETRYING.release(device);
    within(|| path.check() == STILL_RUNNING);
    assert_eq!(path.collect(), Verdict::DOWN);
    // The one that hung, and those of the next run.
    assert_eq!(RETRYING.commands(device), 1 + 1000);
    path.free();
}

device!(Counting, COUNTING, u32, |task| {
    COUNTING.command(task.fd);
    task.memory += 1;
    Verdict::new(PathState::Up, MessageId::from_raw(task.memory as i16)).into()
});

#[test]
fn a_synchronous_check_leaves_the_run_in_flight_alone() {
    COUNTING.hang(1);
    let mut path = Path::<Counting>::new(1);
    path.check();
    within(|| COUNTING.commands(1) == 1);
    path.call.fd = FIRST + 2;
    assert_eq!(
        path.check_in_sync().message,
        Some(MessageId::from_raw(1)),
        "of its own"
    );
    COUNTING.release(1);
    assert_eq!(path.collect().state, PathState::Up);
    path.free();
}

#[test]
fn memory_goes_from_check_to_check() {
    let mut path = Path::<Counting>::new(3);
    for expected in 1..=5 {
        path.check();
        assert_eq!(path.collect().message, Some(MessageId::from_raw(expected)));
    }
    path.free();
}

device!(Panicking, PANICKING, (), |task| {
    PANICKING.command(task.fd);
    panic!("on purpose")
});

#[test]
fn a_panic_in_a_probe_leaves_the_host_with_unchecked() {
    let mut path = Path::<Panicking>::new(1);
    for _ in 0..3 {
        assert_eq!(path.check(), STILL_RUNNING);
        assert_eq!(
            path.collect(),
            Verdict::new(PathState::Unchecked, MessageId::NONE),
            "not the message of a check that runs"
        );
    }
    assert_eq!(path.check_in_sync(), Verdict::silent(PathState::Unchecked));
    path.free();
}

device!(Transition, TRANSITION, (), |task| {
    TRANSITION.command(task.fd);
    Verdict::new(PathState::Pending, MessageId::plugin(9)).into()
});

#[test]
fn a_verdict_may_be_pending_and_ends_the_run_all_the_same() {
    let mut path = Path::<Transition>::new(1);
    for round in 1..=3 {
        assert_eq!(path.check(), STILL_RUNNING);
        let verdict = Verdict::new(PathState::Pending, MessageId::plugin(9));
        assert_eq!(path.collect(), verdict);
        assert_eq!(path.pending(), Verdict::silent(PathState::Pending));
        assert_eq!(TRANSITION.commands(1), round);
    }
    path.free();
}

device!(Crowd, CROWD, (), |task| {
    CROWD.command(task.fd);
    Verdict::UP.into()
});

#[test]
fn a_burst_of_healthy_checks_does_not_take_a_worker_each_and_passes_hung_ones_by() {
    let hung = 100;
    for fd in 0..hung {
        CROWD.hang(fd * 10);
    }
    let mut paths: Vec<_> = (0..1000).map(Path::<Crowd>::new).collect();
    for path in &mut paths {
        assert_eq!(path.check(), STILL_RUNNING);
    }
    for path in paths.iter_mut().filter(|path| path.call.fd % 10 != 0) {
        assert_eq!(path.collect(), Verdict::UP);
    }
    CROWD.wait_for_waiting(hung as usize);
    let workers = CROWD.with(|lab| lab.workers.len());
    // A few more than hang on a machine without other work, dozens on one that is busy.
    let healthy = paths.len() - hung as usize;
    assert!(
        workers <= hung as usize + healthy / 2,
        "{workers} workers for {hung} hung checks"
    );
    for path in paths {
        path.free();
    }
    for fd in 0..hung {
        CROWD.release(fd * 10);
    }
    CROWD.wait_for_waiting(0);
}

static PREPARED: Lab = Lab::new();
static SETUPS: AtomicUsize = AtomicUsize::new(0);
static LOG_RECORDS: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Copy)]
struct Said;

impl LogRecord for Said {
    fn emit(&self) {
        LOG_RECORDS.fetch_add(1, Ordering::SeqCst);
    }
}

/// A device that wants commands before its first check.
struct Prepared;

impl Probe for Prepared {
    const NAME: &'static str = "prepared";
    const MESSAGES: Messages = Messages::COMMON;
    const HAS_SETUP: bool = true;
    type Memory = ();
    type LogRecord = Said;
    type LastReply = usize;

    fn setup(task: &Task<'_, ()>) -> Option<Said> {
        PREPARED.command(task.fd);
        SETUPS.fetch_add(1, Ordering::SeqCst);
        Some(Said)
    }

    fn probe(_task: &mut Task<'_, ()>) -> Outcome<Self> {
        Outcome {
            verdict: Verdict::UP,
            record: None,
            last_reply: Some(SETUPS.load(Ordering::SeqCst)),
        }
    }
}

#[test]
fn setup_commands_come_first_and_do_not_hold_init_up() {
    PREPARED.hang(1);
    let start = Instant::now();
    let mut path = Path::<Prepared>::new(1);
    assert_eq!(path.check(), STILL_RUNNING);
    assert!(start.elapsed() < Duration::from_secs(1));
    PREPARED.wait_for_waiting(1);
    assert_eq!(path.pending(), STILL_RUNNING);
    PREPARED.release(1);
    assert_eq!(path.collect(), Verdict::UP);
    assert_eq!(
        path.checker.last_reply(),
        Some(1),
        "the setup was over when the probe ran"
    );
    assert_eq!(LOG_RECORDS.load(Ordering::SeqCst), 1);
    for _ in 0..3 {
        path.check();
        path.collect();
    }
    assert_eq!(PREPARED.commands(1), 1, "once per path");
    path.free();

    PREPARED.hang(2);
    let mut path = Path::<Prepared>::new(2);
    path.check();
    PREPARED.wait_for_waiting(1);
    pass(6);
    assert_eq!(
        path.check(),
        TIMEOUT,
        "a hung setup counts like a hung check"
    );
    path.free();
    PREPARED.release(2);
    PREPARED.wait_for_waiting(0);
}

/// A device whose setup and probe may hang each for itself: the probe's device is 100 further on.
struct SetUp;
static SET_UP: Lab = Lab::new();

impl Probe for SetUp {
    const NAME: &'static str = "set up";
    const MESSAGES: Messages = Messages::COMMON;
    const HAS_SETUP: bool = true;
    type Memory = ();
    type LogRecord = NoLogRecord;
    type LastReply = ();

    fn setup(task: &Task<'_, ()>) -> Option<NoLogRecord> {
        SET_UP.command(task.fd);
        None
    }

    fn probe(task: &mut Task<'_, ()>) -> Outcome<Self> {
        SET_UP.command(task.fd + 100);
        Verdict::UP.into()
    }
}

#[test]
fn a_synchronous_check_waits_for_the_setup_but_not_for_the_probe_behind_it() {
    SET_UP.hang(1);
    SET_UP.hang(101);
    let mut path = Path::<SetUp>::new(1);
    assert_eq!(path.check(), STILL_RUNNING);
    let host = std::thread::spawn(move || {
        // The commands of this check go to another device, so that only the run's are hung.
        path.call.fd += 1;
        let verdict = path.check_in_sync();
        path.call.fd -= 1;
        (path, verdict)
    });
    SET_UP.release(1);
    within(|| SET_UP.commands(101) == 1);
    within(|| host.is_finished());
    let (mut path, verdict) = host.join().unwrap();
    assert_eq!((verdict, SET_UP.commands(102)), (Verdict::UP, 1));
    SET_UP.release(101);
    assert_eq!(path.collect(), Verdict::UP);
    path.free();
}

/// What the probe of [`Mapped`] makes of the map's value.
static WRITTEN: Mutex<Option<i32>> = Mutex::new(None);

device!(Mapped, MAPPED, (), |task| {
    MAPPED.command(task.fd);
    if let Some(value) = *WRITTEN.lock().unwrap() {
        task.set_map(value);
    }
    Verdict::UP.into()
});

#[test]
fn the_map_gets_what_the_probe_wrote_even_if_its_copy_held_that_already() {
    let mut path = Path::<Mapped>::new(1);
    for (written, expected) in [(None, 1), (Some(0), 0), (Some(7), 7)] {
        *WRITTEN.lock().unwrap() = written;
        MAPPED.hang(1);
        path.call.map = MapMemory::Set(0);
        assert_eq!(path.check(), STILL_RUNNING);
        // Another path of the map writes meanwhile.
        path.call.map = MapMemory::Set(1);
        MAPPED.release(1);
        assert_eq!(path.collect(), Verdict::UP);
        assert_eq!(path.call.map, MapMemory::Set(expected), "{written:?}");
    }
    path.free();
}

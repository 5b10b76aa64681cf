// SPDX-License-Identifier: LGPL-2.0-or-later

//! A run has a descriptor of its own: what the host does with its number afterwards does not matter.
//!
//! One test, since the limit of descriptors is that of the process.

#![expect(clippy::unwrap_used, reason = "a test may fail where it likes")]

use checkers_core::{
    Asynchronous, Call, Checker, Delivery, MapMemory, Messages, Mode, Monotonic, NoLogRecord,
    Outcome, PathState, Probe, Seconds, Task, Verdict,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

static HOLD: AtomicBool = AtomicBool::new(false);
static BEGUN: AtomicUsize = AtomicUsize::new(0);
static SETUPS: AtomicUsize = AtomicUsize::new(0);
/// The minor device number that the last command saw; -1 for a descriptor that is not open.
static SEEN: AtomicI32 = AtomicI32::new(-2);
static USED: AtomicI32 = AtomicI32::new(-2);

const NULL: i32 = 3;

struct Device;

impl Probe for Device {
    const NAME: &'static str = "device";
    const MESSAGES: Messages = Messages::COMMON;
    const HAS_SETUP: bool = true;
    type Memory = ();
    type LogRecord = NoLogRecord;
    type LastReply = ();

    fn setup(_task: &Task<'_, ()>) -> Option<NoLogRecord> {
        SETUPS.fetch_add(1, SeqCst);
        None
    }

    /// Is about to send a command, having asked whether it is still wanted.
    fn probe(task: &mut Task<'_, ()>) -> Outcome<Self> {
        BEGUN.fetch_add(1, SeqCst);
        while HOLD.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let seen = kernel_fd::stat(task.fd).map_or(-1, |stat| stat.minor() as i32);
        USED.store(task.fd, SeqCst);
        SEEN.store(seen, SeqCst);
        Verdict::UP.into()
    }
}

fn call(file: &File) -> Call {
    Call {
        fd: file.as_raw_fd(),
        timeout: Seconds(5),
        mode: Mode::Async,
        delivery: Delivery::Pending,
        path_state: PathState::Unchecked,
        map: MapMemory::Absent,
        clock: || Monotonic {
            seconds: 1000,
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

fn open() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_run_keeps_to_the_file_that_its_path_had() {
    let before = open();
    a_command_after_free_goes_to_the_device_of_its_path();
    within(|| open() == before);
    without_descriptors_the_setup_is_put_off_and_the_probe_uses_the_number();
    within(|| open() == before);
}

fn a_command_after_free_goes_to_the_device_of_its_path() {
    HOLD.store(true, SeqCst);
    let null = File::open("/dev/null").unwrap();
    let number = null.as_raw_fd();
    let call = call(&null);
    let mut path = Asynchronous::<Device>::init(&call).instance.unwrap();
    path.check(&call);
    within(|| BEGUN.load(SeqCst) == 1);
    path.free(&call);
    drop(null);
    let stranger = File::open("/dev/zero").unwrap();
    assert_eq!(stranger.as_raw_fd(), number, "the number is used again");
    HOLD.store(false, SeqCst);
    within(|| SEEN.load(SeqCst) != -2);
    assert_eq!(SEEN.load(SeqCst), NULL);
}

fn without_descriptors_the_setup_is_put_off_and_the_probe_uses_the_number() {
    let null = File::open("/dev/null").unwrap();
    let call = call(&null);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
    SETUPS.store(0, SeqCst);
    let mut path = Asynchronous::<Device>::init(&call).instance.unwrap();
    path.check(&call);
    within(|| path.pending(&call).verdict == Verdict::UP);
    assert_eq!(SETUPS.load(SeqCst), 0, "it may write");
    assert_eq!(USED.load(SeqCst), null.as_raw_fd());
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    for _ in 0..2 {
        path.check(&call);
        within(|| path.pending(&call).verdict == Verdict::UP);
        assert_eq!(SETUPS.load(SeqCst), 1);
        assert_ne!(USED.load(SeqCst), null.as_raw_fd());
    }
    path.free(&call);
}

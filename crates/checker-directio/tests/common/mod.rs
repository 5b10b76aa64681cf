//! What the tests share: a path and what its host knows of it, on a pipe, which does no asynchronous I/O.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "tests")]

use checker_directio::Directio;
use checkers_core::{
    Call, Checker, Delivery, MapMemory, Mode, Monotonic, PathState, Seconds, Verdict,
};
use std::fs::File;
use std::os::fd::RawFd;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long is waited for something that is about to happen.
const LONG: Duration = Duration::from_secs(20);

pub(crate) struct Path {
    pub(crate) call: Call,
    pub(crate) checker: Directio,
}

impl Path {
    pub(crate) fn new(fd: RawFd, clock: fn() -> Monotonic) -> Path {
        let call = Call {
            fd,
            timeout: Seconds(5),
            mode: Mode::Async,
            delivery: Delivery::Pending,
            path_state: PathState::Wild,
            map: MapMemory::Absent,
            clock,
        };
        let checker = Directio::init(&call).instance.unwrap();
        Path { call, checker }
    }

    pub(crate) fn check(&mut self) -> Verdict {
        self.checker.check(&self.call).verdict
    }

    pub(crate) fn pending(&mut self) -> Verdict {
        self.checker.pending(&self.call).verdict
    }

    /// The first verdict of the running check that is not "pending".
    pub(crate) fn verdict(&mut self) -> Verdict {
        eventually(|| {
            let verdict = self.pending();
            (verdict.state != PathState::Pending).then_some(verdict)
        })
    }

    pub(crate) fn free(self) {
        self.checker.free(&self.call);
    }
}

/// The verdict of a path that has not been looked at.
pub(crate) fn is_unchecked(verdict: Verdict) -> bool {
    verdict.state == PathState::Unchecked && verdict.message.unwrap().as_raw() == 100
}

/// The two ends of a pipe: what is written to, and what is read from.
pub(crate) fn pipe() -> (File, File) {
    let directory = tempfile::tempdir().unwrap();
    let name = directory.path().join("pipe");
    let made = Command::new("mkfifo").arg(&name).status();
    assert!(made.unwrap().success());
    // Opened for both, since to open it for one only waits for the other.
    let to = File::options().read(true).write(true).open(&name).unwrap();
    (to, File::open(&name).unwrap())
}

pub(crate) fn eventually<T>(mut poll: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + LONG;
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(Instant::now() < give_up, "it never happened");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until `count` threads of this process sleep in `io_submit`.
pub(crate) fn until_submitting(count: usize) {
    let prefix = format!("{} ", libc::SYS_io_submit);
    eventually(|| {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let submitting = |task: std::fs::DirEntry| {
            let call = std::fs::read_to_string(task.path().join("syscall"));
            call.is_ok_and(|call| call.starts_with(&prefix))
        };
        let found = tasks.flatten().map(submitting);
        (found.filter(|found| *found).count() == count).then_some(())
    });
}

/// How many descriptors this process has.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// How many AIO contexts this process has: each has a ring mapped.
pub(crate) fn contexts() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains("[aio]")).count()
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! What the tests share: a path and what its host knows about it, on a pipe, which does no asynchronous I/O.

use checker_directio::Directio;
use checkers_core::{
    Call, Checker, Delivery, MapMemory, Mode, Monotonic, PathState, Seconds, Verdict,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::File;
use std::os::fd::RawFd;
use std::process::Command;
use std::time::{Duration, Instant};

/// The limit for what is about to happen.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Sets the process's soft limit on a resource and returns the previous one.
pub(crate) fn set_limit(resource: Resource, limit: u64) -> u64 {
    let (before, hard) = getrlimit(resource).unwrap();
    setrlimit(resource, limit, hard).unwrap();
    before
}

/// Runs `test` in a process of its own, since it sets limits, forks, or counts what the process has: this
/// program once more, with the named test of `module` alone.
pub(crate) fn alone(module: &str, name: &str, test: impl FnOnce()) {
    const INSIDE: &str = "CHECKER_DIRECTIO_ALONE";
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let (_, module) = module.split_once("::").unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::{name}"), "--nocapture"])
        .env(INSIDE, "")
        .output()
        .unwrap();
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    // A name that no test has would pass as well.
    let passed = output.status.success() && text[0].contains("1 passed");
    assert!(passed, "{}{}", text[0], text[1]);
}

/// A call of a host that checks asynchronously, with a time limit of five seconds.
pub(crate) fn call(fd: RawFd, clock: fn() -> Monotonic) -> Call {
    Call {
        fd,
        timeout: Seconds(5),
        mode: Mode::Async,
        delivery: Delivery::Pending,
        path_state: PathState::Wild,
        map: MapMemory::Absent,
        clock,
    }
}

pub(crate) struct Path {
    pub(crate) call: Call,
    pub(crate) checker: Directio,
}

impl Path {
    pub(crate) fn new(fd: RawFd, clock: fn() -> Monotonic) -> Path {
        let call = call(fd, clock);
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

/// Whether a verdict says that the path has not been checked.
pub(crate) fn is_unchecked(verdict: Verdict) -> bool {
    verdict.state == PathState::Unchecked && verdict.message.unwrap().as_raw() == 100
}

/// The two ends of a pipe: for writing, and for reading.
pub(crate) fn pipe() -> (File, File) {
    let directory = tempfile::tempdir().unwrap();
    let name = directory.path().join("pipe");
    let made = Command::new("mkfifo").arg(&name).status();
    assert!(made.unwrap().success());
    // Opened for both directions, since opening it for one waits for the other.
    let to = File::options().read(true).write(true).open(&name).unwrap();
    (to, File::open(&name).unwrap())
}

pub(crate) fn eventually<T>(mut poll: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + LONG;
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(Instant::now() < give_up, "never happened");
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

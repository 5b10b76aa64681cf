// SPDX-License-Identifier: LGPL-2.0-or-later

//! Where `io_submit` sleeps: no call waits, and the verdict follows as soon as the device responds.
//!
//! Tests that need root, FUSE or loop devices are ignored by default, so that they are counted as
//! not run; as root, run them with `--include-ignored`.

use crate::stalled::Stalled;
use crate::support::{self, LONG, call};
use checker_directio::Directio;
use checkers_core::{Call, Checker, Delivery, Mode, PathState, Seconds, Verdict};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The most that a call without waiting may take, on a loaded machine.
const AT_ONCE: Duration = Duration::from_millis(500);

/// A path and what its host knows about it.
struct Host {
    call: Call,
    path: Directio,
}

impl Host {
    fn new(fd: RawFd, timeout: u32, delivery: Delivery) -> Host {
        let mut call = call(fd, kernel_fd::monotonic);
        call.timeout = Seconds(timeout);
        call.delivery = delivery;
        let path = Directio::init(&call).instance.unwrap();
        Host { call, path }
    }

    fn check(&mut self) -> Verdict {
        at_once(|| self.path.check(&self.call).verdict)
    }

    fn pending(&mut self) -> Verdict {
        at_once(|| self.path.pending(&self.call).verdict)
    }

    fn free(self) {
        at_once(|| self.path.free(&self.call));
    }

    /// The first verdict of the running check that is not "pending".
    fn verdict(&mut self) -> Verdict {
        let give_up = Instant::now() + LONG;
        loop {
            let verdict = self.pending();
            if verdict.state != PathState::Pending {
                return verdict;
            }
            assert!(Instant::now() < give_up);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn at_once<T>(call: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = call();
    let took = start.elapsed();
    assert!(took < AT_ONCE, "took {took:?}");
    result
}

fn message(verdict: Verdict) -> i16 {
    verdict.message.unwrap().as_raw()
}

/// The two ends of a pipe, and a path on it.
fn pipe(timeout: u32, delivery: Delivery) -> (File, File, Host) {
    let (to, from) = support::pipe();
    let host = Host::new(from.as_raw_fd(), timeout, delivery);
    (from, to, host)
}

#[test]
fn a_pipe_is_pending_then_down_then_up() {
    let (_from, mut to, mut host) = pipe(1, Delivery::Pending);
    let start = Instant::now();
    assert_eq!(host.check().state, PathState::Pending);
    assert!(host.path.need_wait());
    assert_eq!(message(host.pending()), 101);
    assert!(!host.path.need_wait());
    assert_eq!(host.verdict(), Verdict::DOWN);
    assert!(start.elapsed() >= Duration::from_secs(1));
    // No second read is queued behind the first.
    assert_eq!(host.check().state, PathState::Pending);
    assert_eq!(host.pending(), Verdict::DOWN);

    to.write_all(&[0; 4096]).unwrap();
    let give_up = Instant::now() + LONG;
    while host.pending() != Verdict::UP {
        assert!(Instant::now() < give_up);
    }
    host.check();
    to.write_all(&[0; 4096]).unwrap();
    assert_eq!(host.verdict(), Verdict::UP);
    host.check();
    drop(to);
    assert_eq!(host.verdict(), Verdict::DOWN, "nothing to read");
    host.free();
}

#[test]
fn a_host_that_may_wait_does() {
    let (_from, mut to, mut host) = pipe(20, Delivery::Pending);
    host.check();
    // The worker sleeps in io_submit; the check that waits gets the result of its read.
    host.call.mode = Mode::Sync;
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        to.write_all(&[0; 4096]).unwrap();
        to
    });
    assert_eq!(host.path.check(&host.call).verdict, Verdict::UP);
    drop(writer.join().unwrap());
    host.free();
}

#[test]
fn freed_while_a_worker_sleeps() {
    let (from, mut to, mut host) = pipe(5, Delivery::Pending);
    host.check();
    std::thread::sleep(Duration::from_millis(20));
    host.free();
    at_once(Directio::reset);
    // The slot is the orphan's until the read has ended; then another path may have it.
    let (_others, _ends, mut other) = pipe(5, Delivery::Pending);
    other.check();
    to.write_all(&[0; 4096]).unwrap();
    drop((from, to));
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(other.pending().state, PathState::Pending);
    other.free();
    at_once(Directio::reset);
}

#[test]
#[ignore = "needs root and FUSE"]
fn a_file_without_asynchronous_io() {
    let files = Stalled::mount(false);
    let open = |name: &str| File::open(files.file(name)).unwrap();
    let (hung, sound) = (open("read"), open("sound"));
    let mut hung = Host::new(hung.as_raw_fd(), 1, Delivery::Pending);
    assert_eq!(hung.check().state, PathState::Pending);

    let mut quick = Host::new(sound.as_raw_fd(), 5, Delivery::Pending);
    for _ in 0..100 {
        assert_eq!(quick.check().state, PathState::Pending);
        assert_eq!(quick.verdict(), Verdict::UP);
    }
    assert_eq!(hung.verdict(), Verdict::DOWN);
    assert_eq!(files.count(), 1);

    // A descriptor that is not open cannot be duplicated for a worker.
    let fd = std::mem::replace(&mut quick.call.fd, -1);
    let verdict = quick.check();
    assert_eq!(
        (verdict.state, message(verdict)),
        (PathState::Unchecked, 100)
    );
    quick.call.fd = fd;
    quick.check();
    assert_eq!(quick.verdict(), Verdict::UP);

    quick.free();
    hung.free();
    at_once(Directio::reset);
}

#[test]
#[ignore = "needs root, FUSE and a loop device"]
fn a_queue_that_is_full() {
    let (stalled, sound) = (Stalled::mount(true), Stalled::mount(true));
    let disk = Loop::attach(&stalled.file("read"));
    // More readers than the device takes requests.
    let mut readers: Vec<_> = (0..256)
        .map(|block| {
            Command::new("dd")
                .args(["bs=4096", "count=1", "iflag=direct", "of=/dev/null"])
                .args([format!("if={}", disk.0), format!("skip={block}")])
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let give_up = Instant::now() + LONG;
    while !readers.iter().all(|reader| is_blocked(reader.id())) {
        assert!(Instant::now() < give_up);
        std::thread::sleep(Duration::from_millis(10));
    }

    let device = File::open(&disk.0).unwrap();
    let new = || Host::new(device.as_raw_fd(), 1, Delivery::Pending);
    let (mut stays, mut goes) = (new(), new());
    for host in [&mut stays, &mut goes] {
        assert_eq!(message(host.check()), 101);
        assert!(host.path.need_wait());
    }
    goes.free();
    let sound = File::open(sound.file("sound")).unwrap();
    let mut sound = Host::new(sound.as_raw_fd(), 1, Delivery::Pending);
    sound.check();
    assert_eq!(sound.verdict(), Verdict::UP);
    assert_eq!(stays.verdict(), Verdict::DOWN);
    at_once(Directio::reset);

    stalled.release();
    for reader in &mut readers {
        reader.wait().unwrap();
    }
    // Every read fails now; the next one is a new one.
    assert_eq!(stays.verdict(), Verdict::DOWN);
    stays.free();
    sound.free();
}

#[test]
#[ignore = "needs root and a loop device"]
fn a_read_that_has_to_wait_for_a_moment_is_up() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let image = directory.path().join("image");
    File::create_new(&image).unwrap().set_len(1 << 20).unwrap();
    let disk = Loop::attach(&image);
    let mut file = File::options()
        .read(true)
        .write(true)
        .open(&disk.0)
        .unwrap();
    let device = File::open(&disk.0).unwrap();
    for delivery in [Delivery::Pending, Delivery::InCheck] {
        let mut host = Host::new(device.as_raw_fd(), 20_000, delivery);
        for round in 0..20_u8 {
            // A direct read first writes back what is in memory, so it is refused at first.
            std::io::Seek::rewind(&mut file).unwrap();
            file.write_all(&[round; 4096]).unwrap();
            let give_up = Instant::now() + LONG;
            let mut verdict = host.check();
            while verdict.state == PathState::Pending {
                assert!(Instant::now() < give_up);
                std::thread::sleep(Duration::from_millis(1));
                verdict = match delivery {
                    Delivery::Pending => host.pending(),
                    Delivery::InCheck => host.check(),
                };
            }
            assert_eq!(verdict, Verdict::UP, "round {round}");
        }
        host.free();
    }
}

/// An attached loop device.
struct Loop(String);

impl Loop {
    fn attach(image: &Path) -> Loop {
        let output = Command::new("losetup")
            .args(["--find", "--show"])
            .arg(image)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        Loop(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.0]).status();
    }
}

/// Whether a process waits in the kernel and no signal can end it.
fn is_blocked(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('D'))
}

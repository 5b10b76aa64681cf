//! A process that can map no more memory: the path is made all the same, and not checked.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use checker_directio::Failure;
use checkers_core::{PathState, Verdict};
use common::{Path, is_unchecked};
use kernel_fd::Errno;
use std::os::fd::AsRawFd;

/// Sets the limit on the address space and returns what it was.
fn limit(bytes: libc::rlim_t) -> libc::rlim_t {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointers are to an rlimit that outlives the calls.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_AS, &mut limit), 0);
        let before = limit.rlim_cur;
        limit.rlim_cur = bytes;
        assert_eq!(libc::setrlimit(libc::RLIMIT_AS, &limit), 0);
        before
    }
}

#[test]
fn the_path_is_not_checked_and_is_checked_again_later() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(4096).unwrap();
    // Makes the context, whose ring is mapped as well.
    let first = Path::new(file.as_raw_fd(), kernel_fd::monotonic);
    let mut path = Path::new(file.as_raw_fd(), kernel_fd::monotonic);
    let before = limit(1 << 20);
    let verdict = path.check();
    let failure = path.checker.failure();
    let second = Path::new(file.as_raw_fd(), kernel_fd::monotonic);
    limit(before);
    assert!(is_unchecked(verdict), "{verdict:?}");
    let reason = Failure::NotSubmitted(Errno(libc::ENOMEM));
    assert_eq!(failure, Some(reason));
    for mut path in [first, path, second] {
        assert_eq!(path.check().state, PathState::Pending);
        assert_eq!(path.verdict(), Verdict::UP);
        path.free();
    }
}

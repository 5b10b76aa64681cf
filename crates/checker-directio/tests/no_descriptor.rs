//! A submission that would have to wait, in a process that can open no more descriptors.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use checker_directio::Failure;
use checkers_core::{PathState, Verdict};
use common::{Path, is_unchecked, pipe};
use kernel_fd::Errno;
use std::io::Write;
use std::os::fd::AsRawFd;

/// Sets the limit on descriptors and returns what it was.
fn limit(descriptors: libc::rlim_t) -> libc::rlim_t {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointers are to an rlimit that outlives the calls.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        let before = limit.rlim_cur;
        limit.rlim_cur = descriptors;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
        before
    }
}

#[test]
fn the_path_is_not_checked_and_is_checked_again_later() {
    let (mut to, from) = pipe();
    to.write_all(&[0; 4096]).unwrap();
    let mut path = Path::new(from.as_raw_fd(), kernel_fd::monotonic);
    let before = limit(3);
    for _ in 0..3 {
        assert!(is_unchecked(path.check()));
        let reason = Failure::NotSubmitted(Errno(libc::EMFILE));
        assert_eq!(path.checker.failure(), Some(reason));
    }
    limit(before);
    assert_eq!(path.check().state, PathState::Pending);
    assert_eq!(path.verdict(), Verdict::UP);
    path.free();
}

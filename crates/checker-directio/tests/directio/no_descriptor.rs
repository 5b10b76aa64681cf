// SPDX-License-Identifier: LGPL-2.0-or-later

//! A submission that would have to wait, in a process that can open no more descriptors.

use crate::support::{Path, alone, is_unchecked, pipe, set_limit};
use checker_directio::Failure;
use checkers_core::{PathState, Verdict};
use kernel_fd::Errno;
use nix::sys::resource::Resource;
use std::io::Write;
use std::os::fd::AsRawFd;

#[test]
fn the_path_is_not_checked_and_is_checked_again_later() {
    alone(
        module_path!(),
        "the_path_is_not_checked_and_is_checked_again_later",
        || {
            let (mut to, from) = pipe();
            to.write_all(&[0; 4096]).unwrap();
            let mut path = Path::new(from.as_raw_fd(), kernel_fd::monotonic);
            let before = set_limit(Resource::RLIMIT_NOFILE, 3);
            for _ in 0..3 {
                assert!(is_unchecked(path.check()));
                let reason = Failure::NotSubmitted(Errno(libc::EMFILE));
                assert_eq!(path.checker.failure(), Some(reason));
            }
            set_limit(Resource::RLIMIT_NOFILE, before);
            assert_eq!(path.check().state, PathState::Pending);
            assert_eq!(path.verdict(), Verdict::UP);
            path.free();
        },
    );
}

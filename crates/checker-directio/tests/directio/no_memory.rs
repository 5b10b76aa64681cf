// SPDX-License-Identifier: LGPL-2.0-or-later

//! A process that can map no more memory: the path is made all the same, and not checked.

use crate::support::{Path, alone, is_unchecked, set_limit};
use checker_directio::Failure;
use checkers_core::{PathState, Verdict};
use kernel_fd::Errno;
use nix::sys::resource::Resource;
use std::os::fd::AsRawFd;

#[test]
fn the_path_is_not_checked_and_is_checked_again_later() {
    alone(
        module_path!(),
        "the_path_is_not_checked_and_is_checked_again_later",
        || {
            let file = tempfile::tempfile().unwrap();
            file.set_len(4096).unwrap();
            // Makes the context, whose ring is mapped as well.
            let first = Path::new(file.as_raw_fd(), kernel_fd::monotonic);
            let mut path = Path::new(file.as_raw_fd(), kernel_fd::monotonic);
            let before = set_limit(Resource::RLIMIT_AS, 1 << 20);
            let verdict = path.check();
            let failure = path.checker.failure();
            let second = Path::new(file.as_raw_fd(), kernel_fd::monotonic);
            set_limit(Resource::RLIMIT_AS, before);
            assert!(is_unchecked(verdict), "{verdict:?}");
            let reason = Failure::NotSubmitted(Errno(libc::ENOMEM));
            assert_eq!(failure, Some(reason));
            for mut path in [first, path, second] {
                assert_eq!(path.check().state, PathState::Pending);
                assert_eq!(path.verdict(), Verdict::UP);
                path.free();
            }
        },
    );
}

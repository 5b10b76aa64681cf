// SPDX-License-Identifier: LGPL-2.0-or-later

//! A submission that would have to wait, in a process that can have no more threads.

use crate::support::{Path, alone, contexts, eventually, is_unchecked, pipe};
use checker_directio::Directio;
use checkers_core::{Checker, PathState, Verdict, pool};
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static THREADS: AtomicBool = AtomicBool::new(false);

#[test]
fn the_path_is_not_checked_and_is_checked_again_later() {
    alone(
        module_path!(),
        "the_path_is_not_checked_and_is_checked_again_later",
        || {
            pool::set_spawner(|body| match THREADS.load(Relaxed) {
                true => std::thread::Builder::new().spawn(body).map(drop),
                false => Err(ErrorKind::WouldBlock.into()),
            });
            let (mut to, from) = pipe();
            let mut path = Path::new(from.as_raw_fd(), kernel_fd::monotonic);
            for _ in 0..3 {
                assert!(is_unchecked(path.check()));
                assert!(!path.checker.need_wait());
            }
            THREADS.store(true, Relaxed);
            assert_eq!(path.check().state, PathState::Pending);
            to.write_all(&[0; 4096]).unwrap();
            assert_eq!(path.verdict(), Verdict::UP);
            path.free();
            // The worker may not have settled its submission yet.
            eventually(|| {
                Directio::reset();
                (contexts() == 0).then_some(())
            });
        },
    );
}

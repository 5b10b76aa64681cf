// SPDX-License-Identifier: LGPL-2.0-or-later

//! Contexts that are to be destroyed, in a process that can have no threads.

use crate::support::{Path, alone, contexts, eventually};
use checker_directio::Directio;
use checkers_core::{Checker, PathState, Verdict, pool};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;

#[test]
fn idle_ones_are_destroyed_on_the_spot() {
    alone(
        module_path!(),
        "idle_ones_are_destroyed_on_the_spot",
        || {
            pool::set_spawner(|_| Err(ErrorKind::WouldBlock.into()));
            let file = tempfile::tempfile().unwrap();
            file.set_len(4096).unwrap();
            for _ in 0..5 {
                let mut path = Path::new(file.as_raw_fd(), kernel_fd::monotonic);
                // A file system that cannot promise not to wait (overlayfs) would need a thread for the read.
                match path.check().state {
                    PathState::Unchecked => {}
                    state => {
                        assert_eq!(state, PathState::Pending);
                        assert_eq!(path.verdict(), Verdict::UP);
                    }
                }
                path.free();
                assert_eq!(contexts(), 1);
                Directio::reset();
                assert_eq!(contexts(), 0);
            }
            // A context in which a read has ended whose result has not been collected.
            let mut path = Path::new(file.as_raw_fd(), kernel_fd::monotonic);
            path.check();
            path.free();
            eventually(|| {
                Directio::reset();
                (contexts() == 0).then_some(())
            });
        },
    );
}

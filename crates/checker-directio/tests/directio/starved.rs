// SPDX-License-Identifier: LGPL-2.0-or-later

//! A healthy path whose submission waits behind a hung worker, while the process can have no more threads.

use crate::support::{Path, alone, descriptors, eventually, is_unchecked, pipe, until_submitting};
use checkers_core::{Checker, Monotonic, PathState, Verdict, pool};
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicIsize, AtomicU32, Ordering::Relaxed};

/// How many threads the process can have: one to start workers, and one worker.
static THREADS: AtomicIsize = AtomicIsize::new(2);

/// Seconds that have passed.
static NOW: AtomicU32 = AtomicU32::new(0);

fn clock() -> Monotonic {
    Monotonic {
        seconds: NOW.load(Relaxed).into(),
        nanos: 0,
    }
}

#[test]
fn what_no_worker_began_is_unchecked_and_checked_again_later() {
    alone(
        module_path!(),
        "what_no_worker_began_is_unchecked_and_checked_again_later",
        || {
            pool::set_spawner(|body| match THREADS.fetch_sub(1, Relaxed) {
                1.. => std::thread::Builder::new().spawn(body).map(drop),
                _ => Err(ErrorKind::WouldBlock.into()),
            });
            let (mut to_hung, hung) = pipe();
            let (mut to_sound, sound) = pipe();
            let mut hung = Path::new(hung.as_raw_fd(), clock);
            assert_eq!(hung.check().state, PathState::Pending);
            until_submitting(1);

            to_sound.write_all(&[0; 4096]).unwrap();
            let open = descriptors();
            let mut path = Path::new(sound.as_raw_fd(), clock);
            for _ in 0..100 {
                assert_eq!(path.check().state, PathState::Pending);
                assert!(path.checker.need_wait());
                NOW.fetch_add(5, Relaxed);
                assert_eq!(path.pending().state, PathState::Pending);
                NOW.fetch_add(1, Relaxed);
                assert!(is_unchecked(path.pending()), "its device was not asked");
                assert!(!path.checker.need_wait());
                assert_eq!(descriptors(), open);
            }
            // The device of the other path was asked.
            assert_eq!(hung.pending(), Verdict::DOWN);

            THREADS.store(isize::MAX, Relaxed);
            eventually(|| {
                path.check();
                (path.verdict() == Verdict::UP).then_some(())
            });
            to_hung.write_all(&[0; 4096]).unwrap();
            eventually(|| (hung.pending() == Verdict::UP).then_some(()));
            path.free();
            hung.free();
        },
    );
}

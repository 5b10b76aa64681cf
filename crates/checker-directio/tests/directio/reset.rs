// SPDX-License-Identifier: LGPL-2.0-or-later

//! What `reset` releases, and how soon.

use crate::support::{alone, call, contexts};
use checker_directio::Directio;
use checkers_core::Checker;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// How many contexts the paths need, and how many paths each has room for.
const CONTEXTS: usize = 6;
const GROUP_SIZE: usize = 1024;

/// The kernel takes some 30 ms to destroy one context.
const LIMIT: Duration = Duration::from_millis(100);

#[test]
fn idle_contexts_are_destroyed_together_and_make_room_for_new_ones() {
    alone(
        module_path!(),
        "idle_contexts_are_destroyed_together_and_make_room_for_new_ones",
        || {
            let file = tempfile::tempfile().unwrap();
            file.set_len(4096).unwrap();
            // A loaded machine may take long once.
            let took: Vec<Duration> = (0..5).map(|_| reset_after_use(&file)).collect();
            assert!(took.iter().any(|took| *took < LIMIT), "{took:?}");
        },
    );
}

/// Makes paths, frees them, and returns how long the reset took.
fn reset_after_use(file: &File) -> Duration {
    let call = call(file.as_raw_fd(), kernel_fd::monotonic);
    let paths: Vec<_> = (0..CONTEXTS * GROUP_SIZE)
        .map(|_| Directio::init(&call).instance.unwrap())
        .collect();
    assert_eq!(contexts(), CONTEXTS);
    paths.into_iter().for_each(|path| path.free(&call));
    assert_eq!(contexts(), CONTEXTS, "kept for the next paths");
    let start = Instant::now();
    Directio::reset();
    let took = start.elapsed();
    while contexts() > 0 {
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    took
}

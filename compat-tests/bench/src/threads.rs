// SPDX-License-Identifier: LGPL-2.0-or-later

//! Counting threads, and what they cost by themselves.

#![forbid(unsafe_code)]

use std::os::linux::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How many threads there are now.
pub fn alive() -> u64 {
    // The links of the directory are `.`, `..` and one per thread. Unlike a listing they cost one system
    // call and no memory.
    Path::new("/proc/self/task")
        .metadata()
        .map_or(0, |directory| directory.st_nlink().saturating_sub(2))
}

/// Starts this many threads with stacks as large as tur's, and returns the time until the last one ran: no
/// checker can give each hung device a thread in less.
///
/// # Errors
/// When a thread cannot be started.
pub fn start_many(count: usize) -> std::io::Result<Duration> {
    const STACK_SIZE: usize = 32 * 1024;
    let running = Arc::new(AtomicUsize::new(0));
    let begin = Instant::now();
    let threads: std::io::Result<Vec<_>> = (0..count)
        .map(|_| {
            let running = Arc::clone(&running);
            std::thread::Builder::new()
                .stack_size(STACK_SIZE)
                .spawn(move || {
                    running.fetch_add(1, Ordering::Relaxed);
                    std::thread::park();
                })
        })
        .collect();
    let threads = threads?;
    while running.load(Ordering::Relaxed) < count {
        std::thread::yield_now();
    }
    let wall = begin.elapsed();
    for thread in threads {
        thread.thread().unpark();
        // Nothing in it can panic.
        let _ = thread.join();
    }
    Ok(wall)
}

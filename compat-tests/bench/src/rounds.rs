// SPDX-License-Identifier: LGPL-2.0-or-later

//! Rounds: every path is checked once and every verdict collected.

#![forbid(unsafe_code)]

use crate::paths::Paths;
use crate::protocol::{Lap, Pace, Round, Threads};
use crate::stopwatch::Stopwatch;
use crate::{threads, usage};
use harness::interpose::system::threads_created;
use harness::state::State;
use std::time::{Duration, Instant};

/// How long multipathd waits between starting checks and collecting their verdicts.
pub const DAEMON_WAIT: Duration = Duration::from_millis(5);

/// A round that takes longer has lost a verdict.
const LIMIT: Duration = Duration::from_secs(120);

/// The time and the processor time that `work` takes.
pub fn measured(work: impl FnOnce()) -> Round {
    let processor = usage::processor_time();
    let start = Instant::now();
    work();
    Round {
        wall: start.elapsed(),
        processor: usage::processor_time() - processor,
    }
}

/// Checks all paths, and collects the verdicts of those that `awaited` marks.
///
/// # Panics
/// When that takes more than two minutes.
pub fn round(paths: &mut Paths, awaited: &[bool], open: &mut Vec<usize>, pace: Pace) -> Round {
    measured(|| {
        run(paths, awaited, open, pace, |paths, path, call| {
            call(paths, path)
        });
    })
}

/// A round in which threads are counted after every call.
pub fn count_threads(paths: &mut Paths, awaited: &[bool]) -> Threads {
    let before = threads_created();
    let mut most = 0;
    let mut open = Vec::new();
    run(
        paths,
        awaited,
        &mut open,
        Pace::Eager,
        |paths, path, call| {
            let state = call(paths, path);
            most = most.max(threads::alive());
            state
        },
    );
    Threads {
        created: threads_created() - before,
        most,
    }
}

/// A round in which every call is timed; the lap of the one that held its thread up the longest.
pub fn longest_call(paths: &mut Paths, awaited: &[bool], watch: &Stopwatch) -> Lap {
    let mut longest = Lap::default();
    let mut open = Vec::with_capacity(paths.count());
    run(
        paths,
        awaited,
        &mut open,
        Pace::Eager,
        |paths, path, call| {
            let (state, lap) = watch.time(|| call(paths, path));
            longest = longest.longer(lap);
            state
        },
    );
    longest
}

/// `call` makes every call.
fn run(
    paths: &mut Paths,
    awaited: &[bool],
    open: &mut Vec<usize>,
    pace: Pace,
    mut call: impl FnMut(&mut Paths, usize, fn(&mut Paths, usize) -> State) -> State,
) {
    open.clear();
    let start = Instant::now();
    for path in 0..paths.count() {
        let pending = call(paths, path, Paths::check) == State::PENDING;
        if pending && awaited.get(path) == Some(&true) {
            open.push(path);
        }
    }
    while !open.is_empty() {
        let missing = open.len();
        assert!(start.elapsed() < LIMIT, "{missing} verdicts are missing");
        match pace {
            Pace::Daemon => std::thread::sleep(DAEMON_WAIT),
            Pace::Eager => std::thread::yield_now(),
        }
        open.retain(|path| call(paths, *path, Paths::collect) == State::PENDING);
    }
}

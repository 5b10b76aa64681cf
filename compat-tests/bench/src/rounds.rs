//! Rounds: every path is checked once and every verdict collected.

use crate::paths::Paths;
use crate::{threads, usage};
use harness::state::State;
use std::time::{Duration, Instant};

/// How long multipathd waits between starting checks and collecting their verdicts.
const DAEMON_WAIT: Duration = Duration::from_millis(5);

/// How long a round may take before something must be broken.
const LIMIT: Duration = Duration::from_secs(120);

/// How the host waits for verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Not at all: it asks again and again. Gives the time until the last verdict is in.
    Eager,
    /// As multipathd does, asleep. Gives the processor time that the plugin needs, without that of
    /// asking in vain.
    Daemon,
}

/// What one round took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Round {
    /// From the first check to the last verdict.
    pub wall: Duration,
    /// Of all threads.
    pub processor: Duration,
}

/// Checks all paths, and collects the verdicts of those that `awaited` names.
///
/// # Panics
/// When it does not end within two minutes.
pub fn round(paths: &mut Paths, awaited: &[bool], open: &mut Vec<usize>, pace: Pace) -> Round {
    open.clear();
    let processor = usage::processor_time();
    let start = Instant::now();
    for path in 0..paths.count() {
        let pending = paths.check(path) == State::PENDING;
        if pending && awaited.get(path) == Some(&true) {
            open.push(path);
        }
    }
    while !open.is_empty() {
        assert!(
            start.elapsed() < LIMIT,
            "{} verdicts are missing",
            open.len()
        );
        match pace {
            Pace::Daemon => std::thread::sleep(DAEMON_WAIT),
            Pace::Eager => std::thread::yield_now(),
        }
        open.retain(|path| paths.collect(*path) == State::PENDING);
    }
    Round {
        wall: start.elapsed(),
        processor: usage::processor_time() - processor,
    }
}

/// A round in which threads are counted after every call: started, and alive at most.
pub fn count_threads(paths: &mut Paths, awaited: &[bool]) -> (u64, u64) {
    let created = threads::created();
    let mut most = 0;
    let mut open = Vec::new();
    for path in 0..paths.count() {
        if paths.check(path) == State::PENDING && awaited.get(path) == Some(&true) {
            open.push(path);
        }
        most = most.max(threads::alive());
    }
    while !open.is_empty() {
        open.retain(|path| paths.collect(*path) == State::PENDING);
        most = most.max(threads::alive());
    }
    (threads::created() - created, most)
}

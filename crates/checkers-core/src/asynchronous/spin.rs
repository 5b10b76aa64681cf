// SPDX-License-Identifier: LGPL-2.0-or-later

//! Spinning for a moment before going to sleep.
//!
//! To hand something to a thread that sleeps takes a system call on each side, and where its
//! processor sleeps as well, tens of microseconds. Between threads that are awake it takes a fraction
//! of one. But a daemon with real-time priority must not occupy its processor: a spin is short, and after a
//! few in a row that ended without the event, only one wait in 64 spins.

#![forbid(unsafe_code)]

use crate::sync::atomic::{AtomicU32, Ordering::Relaxed};
#[cfg(shuttle)]
use crate::sync::model;
use crate::sync::thread::spin_loop;
use std::sync::atomic::AtomicBool;
#[cfg(not(shuttle))]
use std::time::Duration;
#[cfg(not(shuttle))]
use std::time::Instant;

/// How long a spin may last: about what it takes to wake the other thread.
#[cfg(not(shuttle))]
const LIMIT: Duration = Duration::from_micros(20);

/// How often the condition is read between two readings of the clock.
#[cfg(not(shuttle))]
const READS: u32 = 16;

/// After so many spins in vain, only one in [`RARELY`] is tried.
const TRIES: u32 = 4;
const RARELY: u32 = 64;

static ALLOWED: AtomicBool = AtomicBool::new(false);

/// Allows spinning in this process, which must have more than one processor: on a single one, spinning
/// would keep the awaited thread from running. Without this call no thread spins.
pub fn allow() {
    ALLOWED.store(true, Relaxed);
}

/// How well spinning has worked for one kind of event.
pub(crate) struct Spin {
    /// Waits since the last spin that saw its event, whether they spun or not.
    vain: AtomicU32,
}

impl Spin {
    pub(crate) const fn new() -> Spin {
        Spin {
            vain: AtomicU32::new(0),
        }
    }

    /// Waits for a moment until `done` returns `true`, unless spinning has not paid lately.
    pub(crate) fn until(&self, done: impl Fn() -> bool) {
        if !ALLOWED.load(Relaxed) {
            return;
        }
        let vain = self.vain.load(Relaxed);
        let seen = (vain < TRIES || vain % RARELY == 0) && spin(done);
        let vain = if seen { 0 } else { vain.wrapping_add(1) };
        self.vain.store(vain, Relaxed);
    }
}

/// Whether `done` returned `true` within a number of attempts that the schedule chooses.
#[cfg(shuttle)]
fn spin(done: impl Fn() -> bool) -> bool {
    while model::chance(60) {
        if done() {
            return true;
        }
        spin_loop();
    }
    false
}

/// Whether `done` returned `true` within [`LIMIT`].
#[cfg(not(shuttle))]
fn spin(done: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    loop {
        for _ in 0..READS {
            if done() {
                return true;
            }
            spin_loop();
        }
        if start.elapsed() >= LIMIT {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// How many of so many waits spin when `done` always returns `result`.
    fn spins(spin: &Spin, waits: u32, result: bool) -> u32 {
        let mut spins = 0;
        for _ in 0..waits {
            let called = Cell::new(false);
            spin.until(|| {
                called.set(true);
                result
            });
            spins += u32::from(called.get());
        }
        spins
    }

    #[test]
    fn only_where_allowed_and_rarely_after_spins_in_vain() {
        let spin = Spin::new();
        assert_eq!(spins(&spin, 100, true), 0);
        allow();
        assert_eq!(spins(&spin, 100, true), 100);
        assert_eq!(spins(&spin, TRIES, false), TRIES);
        assert_eq!(spins(&spin, 10 * RARELY, false), 10);
        // One spin that sees its event lets all spin again.
        assert_ne!(spins(&spin, RARELY, true), 0);
        assert_eq!(spins(&spin, TRIES, false), TRIES);
    }

    #[test]
    fn ends_soon() {
        let start = Instant::now();
        assert!(!spin(|| false));
        let took = start.elapsed();
        assert!(
            took >= LIMIT && took < Duration::from_millis(500),
            "{took:?}"
        );
    }
}

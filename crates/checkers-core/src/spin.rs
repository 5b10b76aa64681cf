//! Looking again and again for a moment before going to sleep.
//!
//! To put a thread to sleep and to wake it up costs several microseconds on either side. A command
//! that a healthy device answers at once is over before that, so whoever waits for it looks on for a
//! moment. Where that is mostly in vain (a slow device, a machine with one processor or a busy one)
//! it is hardly ever tried.

use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long to look: about what it costs to be woken up, in a virtual machine.
const SPAN: Duration = Duration::from_micros(50);

/// An attempt that succeeds is worth one point, one in vain costs two: it pays from two out of three
/// on. Nobody has more points than this, nor fewer than as many below zero.
const MOST: i32 = 4;

/// Without points only every so many-th attempt is made, to see whether things have changed.
const SELDOM: u32 = 64;

/// How many pauses lie between two looks.
const PAUSES: u32 = 8;

/// Experience with one kind of waiting.
#[derive(Debug)]
pub struct Spin {
    points: AtomicI32,
    /// Attempts left out.
    omitted: AtomicU32,
}

impl Spin {
    /// No experience yet, but good hope.
    pub const fn new() -> Spin {
        Spin {
            points: AtomicI32::new(MOST),
            omitted: AtomicU32::new(0),
        }
    }

    /// Whether an attempt is worth while.
    pub fn pays(&self) -> bool {
        self.points.load(Relaxed) >= 0 || self.omitted.fetch_add(1, Relaxed) % SELDOM == SELDOM - 1
    }

    /// Looks until `done` says yes, but not for long. Says whether it did.
    pub fn until(&self, mut done: impl FnMut() -> bool) -> bool {
        let start = Instant::now();
        loop {
            if done() {
                self.learn(1);
                return true;
            }
            if start.elapsed() >= SPAN {
                self.learn(-2);
                return false;
            }
            for _ in 0..PAUSES {
                std::hint::spin_loop();
            }
        }
    }

    /// Threads may overwrite each other's experience; it is a guess either way.
    fn learn(&self, points: i32) {
        let sum = self.points.load(Relaxed) + points;
        self.points.store(sum.clamp(-MOST, MOST), Relaxed);
    }
}

impl Default for Spin {
    fn default() -> Spin {
        Spin::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_vain_is_given_up_but_for_a_rare_attempt() {
        let spin = Spin::new();
        let mut attempts = 0;
        for _ in 0..3 + 10 * SELDOM {
            if spin.pays() {
                attempts += 1;
                assert!(!spin.until(|| false));
            }
        }
        assert_eq!(attempts, 3 + 10);
    }

    #[test]
    fn success_brings_it_back() {
        let spin = Spin::new();
        for _ in 0..10 {
            spin.until(|| false);
        }
        assert!(!spin.pays());
        for _ in 0..MOST {
            assert!(spin.until(|| true));
        }
        assert!(spin.pays());
    }

    #[test]
    fn half_and_half_does_not_pay() {
        let spin = Spin::new();
        for turn in 0..20 {
            spin.until(|| turn % 2 == 0);
        }
        assert!(!spin.pays());
    }
}

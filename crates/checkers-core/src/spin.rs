//! Looking again and again for a moment before going to sleep.
//!
//! To put a thread to sleep and to wake it up costs several microseconds on either side. A command
//! that a healthy device answers at once is over before that, so whoever waits for it looks on for a
//! moment. Where that is mostly in vain (a slow device, a machine with one processor or a busy one)
//! it is hardly ever tried.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long to look: about what it costs to be woken up, in a virtual machine.
const SPAN: Duration = Duration::from_micros(50);

/// After so many attempts in vain, one after the other,
const LOSSES: u32 = 4;

/// only every so many-th is made.
const SELDOM: u32 = 64;

/// How many pauses lie between two looks.
const PAUSES: u32 = 8;

/// Experience with one kind of waiting.
#[derive(Debug)]
pub struct Spin {
    /// Attempts in vain since the last that was not.
    losses: AtomicU32,
    /// Attempts left out since then.
    omitted: AtomicU32,
}

impl Spin {
    /// No experience yet.
    pub const fn new() -> Spin {
        Spin {
            losses: AtomicU32::new(0),
            omitted: AtomicU32::new(0),
        }
    }

    /// Whether an attempt is worth while.
    pub fn pays(&self) -> bool {
        self.losses.load(Relaxed) < LOSSES
            || self.omitted.fetch_add(1, Relaxed) % SELDOM == SELDOM - 1
    }

    /// Looks until `done` says yes, but not for long. Says whether it did.
    pub fn until(&self, mut done: impl FnMut() -> bool) -> bool {
        let start = Instant::now();
        loop {
            if done() {
                self.losses.store(0, Relaxed);
                return true;
            }
            if start.elapsed() >= SPAN {
                self.losses.store(
                    self.losses.load(Relaxed).saturating_add(1).min(LOSSES),
                    Relaxed,
                );
                return false;
            }
            for _ in 0..PAUSES {
                std::hint::spin_loop();
            }
        }
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
        for _ in 0..LOSSES + 10 * SELDOM {
            if spin.pays() {
                attempts += 1;
                assert!(!spin.until(|| false));
            }
        }
        assert_eq!(attempts, LOSSES + 10);
    }

    #[test]
    fn one_success_brings_it_back() {
        let spin = Spin::new();
        for _ in 0..LOSSES {
            spin.until(|| false);
        }
        assert!(!spin.pays());
        assert!(spin.until(|| true));
        assert!(spin.pays());
    }
}

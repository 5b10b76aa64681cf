// SPDX-License-Identifier: LGPL-2.0-or-later

//! The monotonic clock.

#![forbid(unsafe_code)]

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// A point on the monotonic clock, as `clock_gettime(CLOCK_MONOTONIC)` returns it.
///
/// Seconds and nanoseconds are kept apart, since the asynchronous protocol compares whole seconds, as
/// upstream does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic {
    /// Seconds since the clock's arbitrary start.
    pub seconds: u64,
    /// Nanoseconds within the second, below 1 000 000 000.
    pub nanos: u32,
}

impl Monotonic {
    /// This point plus `span`; saturates at the largest representable point.
    pub fn plus(self, span: Duration) -> Monotonic {
        let sum = self.since_start().saturating_add(span);
        Monotonic {
            seconds: sum.as_secs(),
            nanos: sum.subsec_nanos(),
        }
    }

    /// The time from `self` to `later`; zero when `later` is earlier.
    pub fn until(self, later: Monotonic) -> Duration {
        later.since_start().saturating_sub(self.since_start())
    }

    fn since_start(self) -> Duration {
        Duration::new(self.seconds, self.nanos)
    }
}

/// The current time. Zero if the kernel has no such clock; every Linux since 2.6 has it.
pub fn monotonic() -> Monotonic {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Monotonic::default(), |now| Monotonic {
        seconds: u64::try_from(now.tv_sec()).unwrap_or(0),
        nanos: u32::try_from(now.tv_nsec()).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_as_fast_as_time() {
        let before = monotonic();
        assert_ne!(before, Monotonic::default());
        std::thread::sleep(Duration::from_millis(20));
        let passed = before.until(monotonic());
        assert!(passed >= Duration::from_millis(20) && passed < Duration::from_secs(20));
    }

    #[test]
    fn clock_arithmetic_carries_and_saturates() {
        let at = |seconds, nanos| Monotonic { seconds, nanos };
        assert_eq!(at(1, 999_999_999).plus(Duration::from_nanos(2)), at(2, 1));
        assert_eq!(
            at(u64::MAX, 0).plus(Duration::from_secs(9)).seconds,
            u64::MAX
        );
        assert_eq!(at(5, 0).until(at(6, 500)), Duration::new(1, 500));
        assert_eq!(at(6, 0).until(at(5, 0)), Duration::ZERO);
    }
}

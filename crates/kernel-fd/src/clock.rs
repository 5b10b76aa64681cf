//! The monotonic clock.

use checkers_core::Monotonic;

/// Now. A clock that the kernel will not read counts as standing at zero; that happens on no Linux
/// since `CLOCK_MONOTONIC` came with 2.6.
pub fn monotonic() -> Monotonic {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec of our own that outlives the call.
    if unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) } < 0 {
        return Monotonic::default();
    }
    Monotonic {
        seconds: u64::try_from(now.tv_sec).unwrap_or(0),
        nanos: u32::try_from(now.tv_nsec).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn moves_as_fast_as_time() {
        let before = monotonic();
        assert_ne!(before, Monotonic::default());
        std::thread::sleep(Duration::from_millis(20));
        let passed = before.until(monotonic());
        assert!(passed >= Duration::from_millis(20) && passed < Duration::from_secs(20));
    }
}

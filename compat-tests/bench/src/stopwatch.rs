//! How long a call held its thread up.
//!
//! On a busy machine a call may take long although it waits for nothing: its thread was ready to run
//! and others ran instead. The kernel's scheduler statistics tell the two apart.

use compat_tests::{Doing, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// What a call took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lap {
    /// By the clock.
    pub wall: Duration,
    /// Of that, neither running nor ready to run: asleep.
    pub asleep: Duration,
}

/// Measures calls of the thread that made it.
pub struct Stopwatch {
    statistics: File,
}

impl Stopwatch {
    /// For the calling thread.
    ///
    /// # Errors
    /// When the kernel keeps no scheduler statistics.
    pub fn new() -> Result<Stopwatch> {
        let statistics = File::open("/proc/thread-self/schedstat").doing("scheduler statistics")?;
        Ok(Stopwatch { statistics })
    }

    /// Measures one call.
    pub fn time<T>(&self, call: impl FnOnce() -> T) -> (T, Lap) {
        let before = self.busy();
        let start = Instant::now();
        let answer = call();
        let wall = start.elapsed();
        let busy = self.busy().saturating_sub(before);
        let lap = Lap {
            wall,
            asleep: wall.saturating_sub(busy),
        };
        (answer, lap)
    }

    /// How long the thread has been running, or ready to.
    fn busy(&self) -> Duration {
        self.ready() + running()
    }

    /// How long it has been ready to run while others did.
    fn ready(&self) -> Duration {
        let mut text = [0; 96];
        let length = self.statistics.read_at(&mut text, 0).unwrap_or(0);
        let text = text.get(..length).unwrap_or_default();
        // Running (as of the last tick only), ready, both in nanoseconds, and the number of turns.
        let mut numbers = text.split(|byte| *byte == b' ');
        let ready = numbers
            .nth(1)
            .and_then(|number| std::str::from_utf8(number).ok());
        Duration::from_nanos(ready.and_then(|number| number.parse().ok()).unwrap_or(0))
    }
}

/// How long the calling thread has been running.
fn running() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec of ours. The clock exists since Linux 2.6.12.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_told_from_work() {
        let watch = Stopwatch::new().unwrap();
        let span = Duration::from_millis(30);
        let ((), sleep) = watch.time(|| std::thread::sleep(span));
        assert!(sleep.asleep >= Duration::from_millis(25), "{sleep:?}");
        let ((), work) = watch.time(|| {
            let start = Instant::now();
            while start.elapsed() < span {
                std::hint::spin_loop();
            }
        });
        assert!(work.wall >= span);
        assert!(work.asleep < Duration::from_millis(10), "{work:?}");
    }
}

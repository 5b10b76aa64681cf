// SPDX-License-Identifier: LGPL-2.0-or-later

//! How long a call held its thread up.
//!
//! On a busy machine a call may take long although it waits for nothing: its thread was ready to run
//! while other threads ran. The kernel's scheduler statistics tell the two apart.

use crate::protocol::Lap;
use harness::{Doing, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

impl Lap {
    /// The one of the two that held its thread up for longer.
    #[must_use]
    pub fn longer(self, other: Lap) -> Lap {
        if other.held > self.held { other } else { self }
    }
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
        let before = self.ready();
        let start = Instant::now();
        let result = call();
        let wall = start.elapsed();
        let ready = self.ready().saturating_sub(before);
        let held = wall.saturating_sub(ready);
        (result, Lap { wall, held })
    }

    /// How long the thread has been ready to run while others did.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_and_work_count() {
        let watch = Stopwatch::new().unwrap();
        let span = Duration::from_millis(30);
        let ((), sleep) = watch.time(|| std::thread::sleep(span));
        assert!(sleep.held >= Duration::from_millis(25), "{sleep:?}");
        let ((), work) = watch.time(|| {
            let start = cpu_time();
            while cpu_time() - start < span {}
        });
        assert!(work.held >= Duration::from_millis(25), "{work:?}");
    }

    #[test]
    fn the_turns_of_others_do_not_count() {
        // Two busy threads on one processor: each gets half of the time.
        let watch = Stopwatch::new().unwrap();
        let mut processors = only_one_processor();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
            let span = Duration::from_millis(100);
            let ((), lap) = watch.time(|| {
                let start = cpu_time();
                while cpu_time() - start < span {}
            });
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(lap.wall > Duration::from_millis(140), "{lap:?}");
            assert!(lap.held < Duration::from_millis(125), "{lap:?}");
        });
        allow(&mut processors);
    }

    fn cpu_time() -> Duration {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the pointer is to a timespec of ours.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    /// Keeps this thread, and those that it starts, on the processor where it is. Gives back what it
    /// may use otherwise.
    fn only_one_processor() -> libc::cpu_set_t {
        // SAFETY: a set of bits, for which zero is valid; the calls read and write sets of ours.
        unsafe {
            let mut allowed: libc::cpu_set_t = std::mem::zeroed();
            libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut allowed);
            let mut one: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(libc::sched_getcpu() as usize, &mut one);
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const one);
            allowed
        }
    }

    fn allow(processors: &mut libc::cpu_set_t) {
        // SAFETY: reads a set of ours.
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), processors) };
    }
}

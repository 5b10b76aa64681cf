// SPDX-License-Identifier: LGPL-2.0-or-later

//! shuttle's locks, atomics and threads, with condition variables and clocks in virtual time.
//!
//! shuttle's own `wait_timeout` never times out and its condition variables never wake spuriously. Here a
//! thread of each schedule, the *clock*, ends timed waits: mostly the one that is due next, now and then
//! another, and as often as [`Options::spurious`] allows without a timeout. Virtual time moves on with the
//! timeouts, and by a little with each reading.
//!
//! [`explore`] runs the body of one schedule. Everything here belongs to the schedule that is running.

#![forbid(unsafe_code)]

pub use descriptors::{Duplicate, close, device_of, duplicate, open};
pub use shuttle;
pub use shuttle::sync::{Mutex, MutexGuard, atomic};
pub use std::sync::OnceLock;

use shuttle::rand::Rng;
use shuttle::sync::Condvar as Wakeup;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LockResult, Mutex as Plain};
use std::time::Duration;

/// Threads.
pub mod thread {
    pub use shuttle::hint::spin_loop;
    pub use shuttle::thread::{Builder, spawn, yield_now};

    use super::{Condvar, Duration, Mutex, lock};

    /// Sleeps in virtual time.
    pub fn sleep(span: Duration) {
        let (mutex, never) = (Mutex::new(()), Condvar::new());
        drop(never.wait_timeout(lock(&mutex), span));
    }
}

/// Clocks.
pub mod time {
    pub use super::Instant;
    pub use std::time::Duration;
}

use super::lock;
use std::sync::PoisonError;

mod descriptors;

/// What a schedule may do.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Percentage of timed waits that end without a signal or a timeout.
    pub spurious: u32,
    /// Timed waits of this length or more never time out, so that a timeout cannot hide a lost signal.
    pub endless: Option<Duration>,
}

/// Runs `scene` as the body of one schedule: to be called inside a shuttle runner.
pub fn explore(options: Options, scene: impl FnOnce()) {
    let clock = Arc::new(Clock::new(options));
    CLOCK.set(Some(Arc::clone(&clock)));
    descriptors::reset();
    let ticking = {
        let clock = Arc::clone(&clock);
        shuttle::thread::spawn(move || clock.run())
    };
    scene();
    clock.finish();
    let _ = ticking.join();
}

/// `true` in `percent` of 100 cases; shuttle replays it with the schedule.
pub fn chance(percent: u32) -> bool {
    percent > 0 && shuttle::rand::thread_rng().gen_range(0..100) < percent
}

/// A number below `limit`; shuttle replays it with the schedule.
pub fn below(limit: usize) -> usize {
    shuttle::rand::thread_rng().gen_range(0..limit)
}

/// Lets `span` of virtual time pass at once.
pub fn pass(span: Duration) {
    with_clock(|clock| clock.now.fetch_add(nanos(span), SeqCst));
}

/// The virtual time.
pub fn now() -> Duration {
    Duration::from_nanos(with_clock(|clock| clock.now.load(SeqCst)))
}

/// Whether the code is to behave as the broken variant of this name, which the model checker must catch.
pub fn broken(variant: &str) -> bool {
    BROKEN.get().is_some_and(|broken| broken == variant)
}

/// Makes [`broken`] return `true` for one variant, in this process.
pub fn set_broken(variant: String) {
    BROKEN.get_or_init(|| variant);
}

static BROKEN: OnceLock<String> = OnceLock::new();

thread_local! {
    // shuttle runs all threads of a schedule on one.
    static CLOCK: RefCell<Option<Arc<Clock>>> = const { RefCell::new(None) };
}

#[expect(
    clippy::expect_used,
    reason = "a scene outside `explore` is a mistake of the test"
)]
fn with_clock<T>(use_it: impl FnOnce(&Arc<Clock>) -> T) -> T {
    CLOCK.with_borrow(|clock| use_it(clock.as_ref().expect("only inside `explore`")))
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A moment of virtual time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// Now; every reading takes up to 300 ns.
    pub fn now() -> Instant {
        let took = below(300) as u64;
        Instant(with_clock(|clock| clock.now.fetch_add(took, SeqCst)))
    }

    /// How much time has passed since.
    pub fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(*self)
    }

    /// How much time lies between the two; zero when `earlier` is later.
    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// One thread that waits on a [`Condvar`].
struct Waiter {
    wakeup: Wakeup,
    deadline: Option<u64>,
    woken: AtomicBool,
    timed_out: AtomicBool,
}

impl Waiter {
    /// Whether this call is the one that ends the wait.
    fn wake(&self) -> bool {
        !self.woken.swap(true, SeqCst)
    }
}

/// A condition variable with timeouts and spurious wake-ups.
pub struct Condvar {
    waiters: Plain<Vec<Arc<Waiter>>>,
}

/// Whether a wait ended by its timeout.
#[derive(Clone, Copy, Debug)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether it did.
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    /// Without a waiting thread.
    pub const fn new() -> Condvar {
        Condvar {
            waiters: Plain::new(Vec::new()),
        }
    }

    /// As std's.
    ///
    /// # Errors
    /// Never.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        Ok(self.block(guard, None).0)
    }

    /// As std's, in virtual time.
    ///
    /// # Errors
    /// Never.
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let (guard, timed_out) = self.block(guard, Some(limit));
        Ok((guard, WaitTimeoutResult(timed_out)))
    }

    fn block<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Option<Duration>,
    ) -> (MutexGuard<'a, T>, bool) {
        let deadline = limit.and_then(|limit| with_clock(|clock| clock.deadline(limit)));
        let waiter = Arc::new(Waiter {
            wakeup: Wakeup::new(),
            deadline,
            woken: AtomicBool::new(false),
            timed_out: AtomicBool::new(false),
        });
        if deadline.is_some() {
            with_clock(Arc::clone).expect_timeout();
        }
        // From here to the wait no other thread runs: it is one step.
        if deadline.is_some() {
            with_clock(|clock| plain(&clock.waiters).push(Arc::clone(&waiter)));
        }
        plain(&self.waiters).push(Arc::clone(&waiter));
        let guard = waiter
            .wakeup
            .wait(guard)
            .unwrap_or_else(PoisonError::into_inner);
        plain(&self.waiters).retain(|other| !Arc::ptr_eq(other, &waiter));
        if deadline.is_some() {
            with_clock(|clock| clock.timed.fetch_sub(1, SeqCst));
        }
        (guard, waiter.timed_out.load(SeqCst))
    }

    /// Takes any waiting thread.
    fn take(&self) -> Option<Arc<Waiter>> {
        let mut waiters = plain(&self.waiters);
        waiters.retain(|waiter| !waiter.woken.load(SeqCst));
        if waiters.is_empty() {
            return None;
        }
        let index = below(waiters.len());
        let waiter = waiters.swap_remove(index);
        drop(waiters);
        waiter.wake().then_some(waiter)
    }

    /// As std's; which of several threads is woken is chosen at random.
    pub fn notify_one(&self) {
        shuttle::thread::yield_now();
        if let Some(waiter) = self.take() {
            waiter.wakeup.notify_one();
        }
    }

    /// As std's.
    pub fn notify_all(&self) {
        shuttle::thread::yield_now();
        let all: Vec<_> = std::iter::from_fn(|| self.take()).collect();
        for waiter in all {
            waiter.wakeup.notify_one();
        }
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Condvar::new()
    }
}

fn plain<T>(mutex: &Plain<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread that lets time pass.
struct Clock {
    options: Options,
    /// Nanoseconds.
    now: AtomicU64,
    /// Timed waits that have begun and not ended.
    timed: AtomicUsize,
    waiters: Plain<Vec<Arc<Waiter>>>,
    finished: AtomicBool,
    asleep: Mutex<bool>,
    wakeup: Wakeup,
}

impl Clock {
    fn new(options: Options) -> Clock {
        Clock {
            options,
            now: AtomicU64::new(1_000_000_000),
            timed: AtomicUsize::new(0),
            waiters: Plain::new(Vec::new()),
            finished: AtomicBool::new(false),
            asleep: Mutex::new(false),
            wakeup: Wakeup::new(),
        }
    }

    /// When a wait that begins now times out; `None` when it does not.
    fn deadline(&self, limit: Duration) -> Option<u64> {
        let endless = self.options.endless.is_some_and(|endless| limit >= endless);
        (!endless).then(|| self.now.load(SeqCst).saturating_add(nanos(limit)))
    }

    fn expect_timeout(&self) {
        self.timed.fetch_add(1, SeqCst);
        self.wake();
    }

    fn wake(&self) {
        let mut asleep = lock(&self.asleep);
        if std::mem::take(&mut *asleep) {
            self.wakeup.notify_one();
        }
    }

    fn finish(&self) {
        self.finished.store(true, SeqCst);
        self.wake();
    }

    fn run(&self) {
        loop {
            let mut asleep = lock(&self.asleep);
            while self.timed.load(SeqCst) == 0 {
                if self.finished.load(SeqCst) {
                    return;
                }
                *asleep = true;
                asleep = self
                    .wakeup
                    .wait(asleep)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            drop(asleep);
            shuttle::thread::yield_now();
            if let Some(waiter) = self.choose() {
                self.end(&waiter);
            }
        }
    }

    /// The timed wait that ends next, if one is to end now.
    fn choose(&self) -> Option<Arc<Waiter>> {
        let mut waiters = plain(&self.waiters);
        waiters.retain(|waiter| !waiter.woken.load(SeqCst));
        if waiters.is_empty() || chance(50) {
            return None;
        }
        if chance(15) {
            return waiters.get(below(waiters.len())).cloned();
        }
        waiters.iter().min_by_key(|waiter| waiter.deadline).cloned()
    }

    fn end(&self, waiter: &Waiter) {
        let spurious = chance(self.options.spurious);
        if !waiter.wake() {
            return;
        }
        if let Some(deadline) = waiter.deadline.filter(|_| !spurious) {
            waiter.timed_out.store(true, SeqCst);
            self.now.fetch_max(deadline, SeqCst);
        }
        waiter.wakeup.notify_one();
    }
}

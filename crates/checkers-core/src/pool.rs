//! Threads for calls that may never come back.
//!
//! A burst of healthy checks must not start a thread each, and a device that hangs must not delay the check
//! of another. Two roles share the work:
//!
//! * *Workers* take jobs as long as the queue holds any. A worker without a job spins for a moment, since a
//!   host submits one check after the other, then sleeps until it is woken, and ends after [`IDLE`].
//! * One *starter* is awake while jobs wait. It alone starts workers: whenever fewer than [`BUSY_RATE`] jobs
//!   have ended within a tick, it wakes or starts 1, 2, 4 … [`MAX_WIDTH`] workers, and more only when no job
//!   has ended for [`ALL_HUNG`] ticks. If the system gives no thread, it tries again, from [`RETRY`] to
//!   [`MAX_RETRY`] later, for as long as jobs wait. While it waits for a thread, jobs wake idle workers
//!   directly.
//!
//! A job is queued only if a starter exists or a worker without a job is there for it. So no job waits
//! without a thread that will run it or will start one that does.
//!
//! Workers neither allocate nor free. glibc gives each thread that does an arena of its own (132 KiB, locked
//! in a daemon that locks its memory); starting a thread allocates as well, so one thread does all of that.
//!
//! A child process has the memory of its parent, but not its threads: the first call in a child empties the
//! queue and forgets the workers.

use crate::memory::{OutOfMemory, try_box};
use crate::process_static;
use crate::slot_cache::SlotCache;
use crate::spin::Spin;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::time::{Duration, Instant};
use crate::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError, lock, thread};
use kernel_fd::fork::{Generation, Home};
use std::any::{Any, TypeId};
use std::collections::VecDeque;
use std::io;

/// The stack of a worker, in bytes. The daemon locks its memory, so each hung device costs this. Upstream's
/// tur gives its threads 4 KiB more; probes need less than a third of it, and the rest is for a panic
/// (without a backtrace).
pub const STACK_SIZE: usize = 28 * 1024;

/// How often the starter compares, as long as it still widens its steps.
const TICK: Duration = Duration::from_micros(100);

/// How often it compares when each step starts [`MAX_WIDTH`] workers.
const LONG_TICK: Duration = Duration::from_millis(1);

/// This many jobs ended within a tick mean that the processor is the limit, not a device.
const BUSY_RATE: u64 = 32;

/// How many workers one step starts at most, as long as jobs end now and then.
const MAX_WIDTH: usize = 15;

/// After so many ticks without the end of a job, everything hangs and the steps grow without bound: the
/// healthy device behind thousands of hung ones must not wait for 15 of them a millisecond.
const ALL_HUNG: u32 = 10;

/// The first wait after the system has given no thread; each further failure doubles it.
const RETRY: Duration = Duration::from_millis(1);

/// The longest wait between two attempts to start a thread.
const MAX_RETRY: Duration = Duration::from_millis(100);

/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(10);

/// Something to be run once, by any worker.
pub trait Job: Sync {
    /// Does the work; must not panic. Returns the condvar of the thread waiting for this job, if any: the
    /// pool signals it once this worker can take another job.
    fn run(&'static self) -> Option<&'static Condvar>;
}

/// How a thread is started: it runs the function given and ends.
pub type Spawner = fn(fn()) -> io::Result<()>;

static SPAWNER: OnceLock<Spawner> = OnceLock::new();

/// Sets how threads are started, for a host that is particular about them. Without it, and for every call
/// after the first, they are started as [`std::thread`] does.
pub fn set_spawner(spawner: Spawner) {
    SPAWNER.get_or_init(|| spawner);
}

/// Starts a detached thread with a small stack for something that may hang.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(body: fn()) -> io::Result<()> {
    SPAWNER.get().copied().unwrap_or(spawn_with_std)(body)
}

/// With more stack than [`STACK_SIZE`]: std's panic hook may want to print a backtrace, and memory that is
/// not locked costs nothing before it is used.
fn spawn_with_std(body: fn()) -> io::Result<()> {
    let builder = thread::Builder::new()
        .name("checker".into())
        .stack_size(8 * STACK_SIZE);
    builder.spawn(body).map(drop)
}

process_static! {
    /// The pool of the process.
    pub static POOL: Pool = Pool::new(spawn, || POOL.start_workers(), || POOL.work());
}

/// The workers, their starter and the jobs that wait.
pub struct Pool {
    state: Mutex<State>,
    /// Idle workers sleep on it.
    job_queued: Condvar,
    /// The starter sleeps on it while no job waits.
    workers_wanted: Condvar,
    /// The starter's clock; never signalled.
    tick: Condvar,
    /// The length of the queue, for a worker that spins without the lock.
    waiting: AtomicUsize,
    /// Experience with spinning for the next job.
    spin: Spin,
    spawn: Spawner,
    /// [`Pool::start_workers`] and [`Pool::work`] of this pool.
    starter: fn(),
    worker: fn(),
}

struct State {
    queue: VecDeque<&'static dyn Job>,
    /// How many jobs the queue must be able to hold without allocating.
    room: usize,
    /// Workers started and not ended, hung ones included.
    workers: usize,
    /// Workers asleep.
    idle: usize,
    /// A worker spins, and takes the next job.
    spinning: bool,
    starter: Starter,
    /// Jobs ended, ever.
    ended: u64,
    /// Raised to make idle threads end.
    dismissals: u64,
    /// The process that the threads belong to.
    home: Home,
    /// A [`SlotCache`] for each type of job that asked for one.
    caches: Vec<(TypeId, &'static (dyn Any + Send + Sync))>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Starter {
    Absent,
    Asleep,
    Awake,
    /// It waits for a thread of the system, and wakes no worker meanwhile.
    Occupied,
}

impl State {
    /// Forgets threads and jobs of a parent process. `here` is this process, `None` when there was no memory
    /// for the fork handler: then a fork goes unnoticed, and the pool works all the same.
    fn enter_process(&mut self, here: Option<Generation>) {
        if !self.home.has_changed(here) {
            return;
        }
        self.queue.clear();
        (self.workers, self.idle, self.spinning) = (0, 0, false);
        self.starter = Starter::Absent;
    }

    /// Workers that will take a job as soon as they get the lock.
    fn available(&self) -> usize {
        self.idle + usize::from(self.spinning)
    }
}

/// No thread can be had for a job.
#[derive(Debug)]
pub struct NoWorker;

/// Keeps a [`Pool`] locked; see [`Pool::hold`].
pub struct Held(#[expect(dead_code, reason = "held for its drop")] MutexGuard<'static, State>);

impl Pool {
    /// A pool without threads. `starter` and `worker` must call [`Pool::start_workers`] and [`Pool::work`]
    /// of this very pool, on threads that `spawn` starts.
    pub const fn new(spawn: Spawner, starter: fn(), worker: fn()) -> Pool {
        Pool {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                room: 0,
                workers: 0,
                idle: 0,
                spinning: false,
                starter: Starter::Absent,
                ended: 0,
                dismissals: 0,
                home: Home::unknown(),
                caches: Vec::new(),
            }),
            job_queued: Condvar::new(),
            workers_wanted: Condvar::new(),
            tick: Condvar::new(),
            waiting: AtomicUsize::new(0),
            spin: Spin::new(),
            spawn,
            starter,
            worker,
        }
    }

    /// Makes sure that one job more than before can be queued without allocating.
    ///
    /// # Errors
    /// [`OutOfMemory`]; the room is as before.
    pub fn make_room(&self) -> Result<(), OutOfMemory> {
        let mut state = self.lock();
        let missing = (state.room + 1).saturating_sub(state.queue.len());
        state.queue.try_reserve(missing).map_err(|_| OutOfMemory)?;
        state.room += 1;
        Ok(())
    }

    /// The cache for jobs of type `J`, which lives as long as the process.
    ///
    /// # Errors
    /// [`OutOfMemory`] when it would have to be made.
    pub fn slots<J: Job + Send + 'static>(
        &'static self,
    ) -> Result<&'static SlotCache<J>, OutOfMemory> {
        let mut state = self.lock();
        let wanted = TypeId::of::<J>();
        let known = state.caches.iter().find(|(of, _)| *of == wanted);
        if let Some(cache) = known.and_then(|(_, cache)| cache.downcast_ref()) {
            return Ok(cache);
        }
        state.caches.try_reserve(1).map_err(|_| OutOfMemory)?;
        let [cache] = Box::leak(try_box(SlotCache::new(self))?);
        state.caches.push((wanted, cache));
        Ok(cache)
    }

    /// Queues `job`, for which [`Pool::make_room`] has been called and which is not queued yet.
    ///
    /// # Errors
    /// [`NoWorker`] when no worker is free for it and the starter, which could start one, cannot be started
    /// itself; the job is not queued then.
    pub fn submit(&self, job: &'static dyn Job) -> Result<(), NoWorker> {
        let mut state = self.lock();
        if state.starter == Starter::Absent {
            // Started with the lock held, so the starter finds the job queued.
            if (self.spawn)(self.starter).is_ok() {
                state.starter = Starter::Awake;
            } else if state.available() <= state.queue.len() {
                return Err(NoWorker);
            }
        }
        state.queue.push_back(job);
        let signal = self.alert(&mut state);
        drop(state);
        signal_one(signal);
        Ok(())
    }

    /// Takes `job` out of the queue. Returns whether it was there; if not, a worker has taken it.
    pub fn withdraw(&self, job: &'static dyn Job) -> bool {
        let mut state = self.lock();
        let position = state
            .queue
            .iter()
            .position(|queued| std::ptr::addr_eq(*queued, job));
        let found = position.and_then(|position| state.queue.remove(position));
        self.waiting.store(state.queue.len(), Ordering::Release);
        found.is_some()
    }

    /// Makes every thread end that has nothing to do, or that finishes what it does without finding more.
    pub fn dismiss_idle(&self) {
        self.lock().dismissals += 1;
        self.job_queued.notify_all();
        self.workers_wanted.notify_all();
    }

    /// Locks the pool until the guard is dropped, so that a child process forked meanwhile finds it
    /// unlocked once its copy of the guard has been dropped.
    pub fn hold(&'static self) -> Held {
        Held(lock(&self.state))
    }

    /// Returns what to signal, once the lock is released, so that the queued jobs are taken.
    fn alert(&self, state: &mut State) -> Option<&Condvar> {
        let waiting = state.queue.len();
        self.waiting.store(waiting, Ordering::Release);
        if waiting == 0 || state.spinning || state.starter == Starter::Awake {
            return None;
        }
        let helpless = matches!(state.starter, Starter::Absent | Starter::Occupied);
        if helpless || (waiting == 1 && state.idle > 0) {
            return (state.idle > 0).then_some(&self.job_queued);
        }
        state.starter = Starter::Awake;
        Some(&self.workers_wanted)
    }

    /// The body of the starter. Returns when no job has waited for [`IDLE`], or when dismissed.
    pub fn start_workers(&self) {
        let mut state = self.lock();
        let mut dismissals = state.dismissals;
        let (mut width, mut quiet, mut retry) = (1_usize, 0_u32, RETRY);
        loop {
            if state.queue.is_empty() {
                (width, quiet, retry) = (1, 0, RETRY);
                let mut idle = false;
                if state.dismissals == dismissals {
                    state.starter = Starter::Asleep;
                    (state, idle) = wait(&self.workers_wanted, state, IDLE);
                }
                if state.queue.is_empty() && (idle || state.dismissals != dismissals) {
                    state.starter = Starter::Absent;
                    return;
                }
                state.starter = Starter::Awake;
                continue;
            }
            dismissals = state.dismissals;
            if state.workers > 0 {
                let ended = state.ended;
                let tick = if width < MAX_WIDTH { TICK } else { LONG_TICK };
                state = wait(&self.tick, state, tick).0;
                let ended = state.ended - ended;
                if ended >= BUSY_RATE {
                    continue;
                }
                quiet = if ended == 0 {
                    quiet.saturating_add(1)
                } else {
                    0
                };
            }
            if quiet < ALL_HUNG {
                width = width.min(MAX_WIDTH);
            }
            let wanted = width.min(state.queue.len());
            width = width.saturating_mul(2);
            let started;
            (state, started) = self.provide(state, wanted);
            if started {
                retry = RETRY;
            } else {
                state.starter = Starter::Occupied;
                state = wait(&self.tick, state, retry).0;
                state.starter = Starter::Awake;
                retry = (retry * 2).min(MAX_RETRY);
            }
        }
    }

    /// Wakes and starts `wanted` workers. Returns whether the system gave as many threads as asked for.
    fn provide<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        wanted: usize,
    ) -> (MutexGuard<'a, State>, bool) {
        let asleep = wanted.min(state.idle);
        for _ in 0..asleep {
            self.job_queued.notify_one();
        }
        for _ in asleep..wanted {
            if state.queue.is_empty() {
                break;
            }
            state.workers += 1;
            state.starter = Starter::Occupied;
            drop(state);
            let started = (self.spawn)(self.worker);
            state = self.lock();
            state.starter = Starter::Awake;
            if started.is_err() {
                state.workers -= 1;
                return (state, false);
            }
        }
        (state, true)
    }

    /// The body of a worker. Returns when there was nothing to do for [`IDLE`], or when dismissed.
    pub fn work(&self) {
        let mut state = self.lock();
        let mut dismissals = state.dismissals;
        let mut waiter = None;
        loop {
            while let Some(job) = state.queue.pop_front() {
                dismissals = state.dismissals;
                let signal = self.alert(&mut state);
                drop(state);
                signal_one(signal);
                signal_all(waiter.take());
                waiter = job.run();
                state = self.lock();
                state.ended += 1;
            }
            state = self.spin_for_job(state, waiter.take());
            if state.queue.is_empty() {
                let ends;
                (state, ends) = self.sleep(state, dismissals);
                if ends {
                    state.workers -= 1;
                    return;
                }
            }
        }
    }

    /// Signals `waiter` and stays awake for a moment in case its thread submits the next job. One spinning
    /// worker is enough.
    fn spin_for_job<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        waiter: Option<&'static Condvar>,
    ) -> MutexGuard<'a, State> {
        let spins = !std::mem::replace(&mut state.spinning, true);
        if !spins && waiter.is_none() {
            return state;
        }
        drop(state);
        signal_all(waiter);
        if spins {
            self.spin.until(|| self.waiting.load(Ordering::Acquire) > 0);
        }
        state = self.lock();
        state.spinning &= !spins;
        state
    }

    /// Sleeps until a job waits. Returns `true` when the worker is to end: after [`IDLE`], or when more
    /// `dismissals` have been counted than when it took its last job.
    fn sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        dismissals: u64,
    ) -> (MutexGuard<'a, State>, bool) {
        let asleep = Instant::now();
        state.idle += 1;
        while state.queue.is_empty() {
            let left = IDLE.saturating_sub(asleep.elapsed());
            if left.is_zero() || state.dismissals != dismissals {
                state.idle -= 1;
                return (state, true);
            }
            state = wait(&self.job_queued, state, left).0;
        }
        state.idle -= 1;
        (state, false)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Before the lock is taken: the C library may keep its list of fork handlers locked while it calls
        // one that takes this lock.
        let here = Generation::current().ok();
        let mut state = lock(&self.state);
        state.enter_process(here);
        state
    }
}

/// Waits for a signal for `limit` at most. Returns whether the limit has passed.
fn wait<'a>(
    condvar: &Condvar,
    state: MutexGuard<'a, State>,
    limit: Duration,
) -> (MutexGuard<'a, State>, bool) {
    let woken = condvar.wait_timeout(state, limit);
    let (state, slept) = woken.unwrap_or_else(PoisonError::into_inner);
    (state, slept.timed_out())
}

fn signal_one(condvar: Option<&Condvar>) {
    if let Some(condvar) = condvar {
        condvar.notify_one();
    }
}

fn signal_all(condvar: Option<&Condvar>) {
    if let Some(condvar) = condvar {
        condvar.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::SeqCst};

    /// A pool of the test's own: how many threads it may start, and how many have been asked for.
    macro_rules! pool {
        ($pool:ident, $supply:ident) => {
            static $supply: AtomicI32 = AtomicI32::new(0);
            static $pool: Pool = Pool::new(
                |body| match $supply.fetch_sub(1, SeqCst) {
                    1.. => spawn_with_std(body),
                    _ => Err(io::ErrorKind::WouldBlock.into()),
                },
                || $pool.start_workers(),
                || $pool.work(),
            );
        };
    }

    /// Counts its runs, and hangs while held.
    struct Counter {
        held: AtomicBool,
        begun: AtomicUsize,
    }

    impl Counter {
        const fn new(held: bool) -> Counter {
            Counter {
                held: AtomicBool::new(held),
                begun: AtomicUsize::new(0),
            }
        }

        fn begun(&self) -> usize {
            self.begun.load(SeqCst)
        }
    }

    impl Job for Counter {
        fn run(&'static self) -> Option<&'static Condvar> {
            self.begun.fetch_add(1, SeqCst);
            while self.held.load(SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            None
        }
    }

    fn within(mut done: impl FnMut() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < Duration::from_secs(20), "never happened");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_job_waits_for_the_thread_that_is_to_be_had_later() {
        pool!(LATER, SUPPLY);
        static HUNG: Counter = Counter::new(true);
        static JOB: Counter = Counter::new(false);
        SUPPLY.store(2, SeqCst);
        LATER.submit(&HUNG).unwrap();
        within(|| HUNG.begun() == 1);
        LATER.submit(&JOB).unwrap();
        within(|| SUPPLY.load(SeqCst) <= -3);
        assert_eq!(JOB.begun(), 0);
        SUPPLY.store(1, SeqCst);
        within(|| JOB.begun() == 1);
        assert_eq!(LATER.lock().workers, 2, "attempts count as workers");
        HUNG.held.store(false, SeqCst);
    }

    #[test]
    fn without_starter_and_free_worker_a_job_is_refused() {
        pool!(NONE, SUPPLY);
        static JOB: Counter = Counter::new(false);
        assert!(NONE.submit(&JOB).is_err());
        assert!(NONE.lock().queue.is_empty());
        // A starter without a worker: the job is queued.
        SUPPLY.store(1, SeqCst);
        NONE.submit(&JOB).unwrap();
        assert!(NONE.withdraw(&JOB));
        assert!(!NONE.withdraw(&JOB));
        SUPPLY.store(1, SeqCst);
        NONE.submit(&JOB).unwrap();
        within(|| JOB.begun() == 1);
        assert!(!NONE.withdraw(&JOB));
    }

    #[test]
    fn a_free_worker_is_enough_for_one_job_each() {
        pool!(FREE, SUPPLY);
        static FIRST: Counter = Counter::new(false);
        static HUNG: Counter = Counter::new(true);
        SUPPLY.store(2, SeqCst);
        FREE.submit(&FIRST).unwrap();
        within(|| FIRST.begun() == 1);
        // The starter ends, the worker stays.
        within(|| {
            let mut state = FREE.lock();
            let asleep = state.idle == 1 && state.starter == Starter::Asleep;
            if asleep {
                state.starter = Starter::Absent;
            }
            asleep
        });
        assert_eq!(FREE.lock().workers, 1);
        FREE.submit(&HUNG).unwrap();
        within(|| HUNG.begun() == 1);
        assert!(FREE.submit(&FIRST).is_err());
        HUNG.held.store(false, SeqCst);
        within(|| FREE.lock().idle == 1);
        FREE.submit(&FIRST).unwrap();
        within(|| FIRST.begun() == 2);
    }

    /// A job that is waited for.
    struct Awaited {
        ended: Mutex<bool>,
        signal: Condvar,
    }

    impl Job for Awaited {
        fn run(&'static self) -> Option<&'static Condvar> {
            *lock(&self.ended) = true;
            Some(&self.signal)
        }
    }

    #[test]
    fn the_thread_that_waits_for_a_job_is_signalled_whatever_follows() {
        pool!(BUSY, SUPPLY);
        static FIRST: Counter = Counter::new(true);
        static JOB: Awaited = Awaited {
            ended: Mutex::new(false),
            signal: Condvar::new(),
        };
        static NEXT: Counter = Counter::new(true);
        SUPPLY.store(2, SeqCst);
        for followed in [true, false] {
            FIRST.held.store(true, SeqCst);
            BUSY.submit(&FIRST).unwrap();
            let begun = 1 + usize::from(!followed);
            within(|| FIRST.begun() == begun);
            BUSY.submit(&JOB).unwrap();
            if followed {
                BUSY.submit(&NEXT).unwrap();
            }
            let mut ended = lock(&JOB.ended);
            FIRST.held.store(false, SeqCst);
            // The worker needs the lock for the job, so the signal cannot come before the wait.
            while !*ended {
                let (woken, slept) = JOB
                    .signal
                    .wait_timeout(ended, Duration::from_secs(20))
                    .unwrap();
                assert!(!slept.timed_out(), "never signalled");
                ended = woken;
            }
            *ended = false;
            drop(ended);
            NEXT.held.store(false, SeqCst);
        }
    }

    #[test]
    fn an_idle_worker_takes_jobs_while_the_starter_waits_for_a_thread() {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        static BLOCKED: AtomicBool = AtomicBool::new(true);
        static HUNG: Counter = Counter::new(true);
        static JOB: Counter = Counter::new(false);
        // The third thread does not come before the system has memory for it.
        static SLOW: Pool = Pool::new(
            |body| {
                if CALLS.fetch_add(1, SeqCst) == 2 {
                    while BLOCKED.load(SeqCst) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                spawn_with_std(body)
            },
            || SLOW.start_workers(),
            || SLOW.work(),
        );
        SLOW.submit(&HUNG).unwrap();
        within(|| HUNG.begun() == 1);
        SLOW.submit(&JOB).unwrap();
        within(|| CALLS.load(SeqCst) == 3);
        HUNG.held.store(false, SeqCst);
        within(|| SLOW.lock().idle == 1);
        let start = Instant::now();
        SLOW.submit(&JOB).unwrap();
        within(|| JOB.begun() == 2);
        assert!(
            start.elapsed() < IDLE / 2,
            "found when the worker was to end"
        );
        BLOCKED.store(false, SeqCst);
    }

    #[test]
    fn a_dismissed_starter_does_not_leave_a_job_behind() {
        pool!(LEAVING, SUPPLY);
        static HUNG: Counter = Counter::new(true);
        static JOB: Counter = Counter::new(false);
        SUPPLY.store(1000, SeqCst);
        LEAVING.submit(&HUNG).unwrap();
        within(|| HUNG.begun() == 1);
        within(|| LEAVING.lock().starter == Starter::Asleep);
        // Both at once, before the starter wakes.
        let mut state = LEAVING.lock();
        state.dismissals += 1;
        state.queue.push_back(&JOB);
        let signal = LEAVING.alert(&mut state);
        drop(state);
        signal_one(signal);
        within(|| JOB.begun() == 1);
        HUNG.held.store(false, SeqCst);
    }

    #[test]
    fn room_is_made_for_all_jobs_together() {
        pool!(ROOM, SUPPLY);
        for jobs in 1..100 {
            ROOM.make_room().unwrap();
            assert!(ROOM.lock().queue.capacity() >= jobs);
        }
        assert_eq!(SUPPLY.load(SeqCst), 0);
    }

    #[test]
    fn a_process_that_cannot_notice_forks_keeps_its_jobs_and_threads() {
        pool!(UNAWARE, SUPPLY);
        static JOB: Counter = Counter::new(false);
        let mut state = lock(&UNAWARE.state);
        for here in [None, Generation::current().ok()] {
            state.enter_process(here);
            (state.workers, state.starter) = (1, Starter::Asleep);
            state.queue.push_back(&JOB);
            state.enter_process(here);
            state.enter_process(None);
            assert_eq!((state.workers, state.queue.len()), (1, 1), "{here:?}");
            assert!(state.starter == Starter::Asleep);
            state.queue.clear();
        }
        assert_eq!(SUPPLY.load(SeqCst), 0);
    }

    #[test]
    fn threads_end_when_dismissed_while_idle_or_busy() {
        pool!(SHORT, SUPPLY);
        static JOB: Counter = Counter::new(true);
        let all_gone = || {
            let state = SHORT.lock();
            state.workers == 0 && state.starter == Starter::Absent
        };
        for round in 1..=2 {
            JOB.held.store(true, SeqCst);
            // The starter and one worker, so that no second one begins after the dismissal.
            SUPPLY.store(2, SeqCst);
            SHORT.submit(&JOB).unwrap();
            within(|| JOB.begun() == round);
            if round == 1 {
                SHORT.dismiss_idle();
            }
            JOB.held.store(false, SeqCst);
            if round == 2 {
                within(|| SHORT.lock().idle == 1);
                SHORT.dismiss_idle();
            }
            within(all_gone);
        }
    }
}

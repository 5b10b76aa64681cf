//! Threads for calls that may never come back.
//!
//! What a host needs of them: a burst of healthy checks must not start a thread each, and a device
//! that hangs must not delay anybody else's check. So the pool starts small and grows only when it
//! sees its workers held up:
//!
//! * Whenever jobs wait, at least one worker is *alert*: about to take a job, or watching.
//! * The pool has a *width*: how many jobs it runs side by side, at first one. A watcher looks at the
//!   queue every [`TICK`]; as long as jobs are being finished at a rate that only the processor
//!   limits, more threads would not help. Otherwise it doubles the width, up to [`MAX_WIDTH`].
//! * A worker without a job stays alert for a moment, so that it is found awake by a host that submits
//!   one job after the other.
//! * Workers held up for longer than [`STUCK_AFTER`] do not count. So the number of threads is
//!   bounded by the width, a watcher, and the number of hung jobs.
//!
//! A worker does not start another one itself, but leaves that to one thread, the *starter*: to start a
//! thread takes memory from the C library, which gives every thread that asks for any an arena of its own
//! (glibc: 132 KiB, locked in a daemon that locks its memory). Workers need none.
//!
//! Idle workers leave after [`IDLE`], and so does the starter.
//!
//! A child process has the memory of its parent, but not the threads: the first job that it submits
//! finds that out and starts with no workers. (What they were running counts as hung.)

use crate::memory::{OutOfMemory, try_push};
use crate::spin::Spin;
use crate::sync::lock;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The stack of a worker, in bytes. The daemon locks its memory, so each hung device costs this. C's
/// tur gives its threads 4 KiB more; probes need less than a third of it, and the rest is for a panic
/// (without a backtrace).
pub const STACK_SIZE: usize = 28 * 1024;

/// How often a watcher looks.
const TICK: Duration = Duration::from_micros(100);

/// This many jobs finished within a tick means that no device held them up.
const BUSY_RATE: u64 = 32;

/// A job that has been running for longer is one that its device holds up.
const STUCK_AFTER: Duration = Duration::from_millis(1);

/// How many jobs run side by side at most, those that are stuck not counted.
const MAX_WIDTH: usize = 15;

/// How long a worker without work stays.
const IDLE: Duration = Duration::from_secs(10);

/// Something to be run once, by any worker.
pub trait Job: Sync {
    /// Does the work; must not panic. Gives back what the one sleeps on who waits for the end, if there
    /// is anybody: he is woken when the worker is ready for the job that he may submit next.
    fn run(&'static self) -> Option<&'static Condvar>;
}

/// How a thread is started: it runs the function given and ends.
pub type Spawner = fn(fn()) -> io::Result<()>;

static SPAWNER: OnceLock<Spawner> = OnceLock::new();

/// Sets how workers are started, for a host that is particular about its threads. Without it, and
/// for every call after the first, they are started as [`std::thread`] does.
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
    let builder = std::thread::Builder::new()
        .name("checker".into())
        .stack_size(8 * STACK_SIZE);
    builder.spawn(body).map(drop)
}

/// The one pool of the process.
pub static POOL: Pool = Pool::new();

/// The workers and what waits for them.
pub struct Pool {
    state: Mutex<State>,
    wake: Condvar,
    /// What watchers sleep on; nobody notifies it, it only keeps them apart from the idle ones.
    watch: Condvar,
    /// What the starter sleeps on.
    ordered: Condvar,
    /// The length of the queue, for who spins without the lock.
    waiting: AtomicUsize,
    /// Of workers that have run out of jobs.
    spin: Spin,
}

struct State {
    queue: VecDeque<&'static dyn Job>,
    /// How many jobs the queue must be able to hold without allocating.
    room: usize,
    /// Workers asleep without a task.
    idle: usize,
    /// How many of those have been told to wake up.
    called: usize,
    /// Workers about to take a job, starting or watching.
    alert: usize,
    /// How many jobs may run side by side at the moment.
    width: usize,
    /// Every worker's place; a vacant one is reused.
    places: Vec<Place>,
    /// How many of the starting ones the starter has yet to start.
    orders: usize,
    /// There is a starter.
    starter: bool,
    /// Jobs finished, ever.
    finished: u64,
    /// Raised to send the idle workers home.
    dismissals: u64,
    /// The process that the workers belong to.
    process: u32,
}

/// What the worker in a place is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Vacant,
    Starting,
    Waiting,
    /// Running a job since then.
    Busy(Instant),
}

impl State {
    /// How many jobs are being run that do not look stuck.
    fn flowing(&self) -> usize {
        let now = Instant::now();
        let flows = |place: &&Place| match place {
            Place::Busy(since) => now.saturating_duration_since(*since) < STUCK_AFTER,
            _ => false,
        };
        self.places.iter().filter(flows).count()
    }

    /// Forgets the workers if they are those of a parent process.
    fn forget_foreign_workers(&mut self) {
        let process = std::process::id();
        if self.process != process {
            self.process = process;
            self.places.clear();
            (self.idle, self.called, self.alert, self.width) = (0, 0, 0, 1);
            (self.orders, self.starter) = (0, false);
        }
    }

    fn has_workers(&self) -> bool {
        self.places.iter().any(|place| *place != Place::Vacant)
    }

    /// Finds a place for a new worker.
    fn vacancy(&mut self) -> Option<&mut Place> {
        let index = match self.places.iter().position(|place| *place == Place::Vacant) {
            Some(index) => index,
            None => {
                try_push(&mut self.places, Place::Vacant).ok()?;
                self.places.len() - 1
            }
        };
        self.places.get_mut(index)
    }

    /// Takes back that a worker is starting.
    fn call_off(&mut self) {
        let starting = |place: &&mut Place| **place == Place::Starting;
        if let Some(place) = self.places.iter_mut().find(starting) {
            *place = Place::Vacant;
            self.alert -= 1;
        }
    }

    fn set(&mut self, worker: usize, doing: Place) {
        if let Some(place) = self.places.get_mut(worker) {
            *place = doing;
        }
    }
}

/// Who wants a worker.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asker {
    /// The host, on a thread of its own.
    Host,
    /// A worker, which leaves it to the starter.
    Worker,
}

fn notify(sleeper: Option<&Condvar>) {
    if let Some(sleeper) = sleeper {
        sleeper.notify_one();
    }
}

/// No worker can be had.
#[derive(Debug)]
pub struct NoWorker;

impl Pool {
    const fn new() -> Pool {
        Pool {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                room: 0,
                idle: 0,
                called: 0,
                alert: 0,
                width: 1,
                places: Vec::new(),
                orders: 0,
                starter: false,
                finished: 0,
                dismissals: 0,
                process: 0,
            }),
            wake: Condvar::new(),
            watch: Condvar::new(),
            ordered: Condvar::new(),
            waiting: AtomicUsize::new(0),
            spin: Spin::new(),
        }
    }

    /// Makes sure that one job more than before can be queued without allocating.
    pub(crate) fn make_room(&self) -> Result<(), OutOfMemory> {
        let mut state = self.lock();
        let missing = (state.room + 1).saturating_sub(state.queue.len());
        state.queue.try_reserve(missing).map_err(|_| OutOfMemory)?;
        state.room += 1;
        Ok(())
    }

    /// Queues `job`, which comes from a [`Shelf`](crate::Shelf) and is not queued yet, and sees to it
    /// that somebody will run it.
    ///
    /// # Errors
    /// When there is no worker at all and none can be started; the job is not queued then.
    pub fn submit(&self, job: &'static dyn Job) -> Result<(), NoWorker> {
        let mut state = self.lock();
        state.forget_foreign_workers();
        state.queue.push_back(job);
        let wake = match self.alarm(&mut state, Asker::Host) {
            Ok(wake) => wake,
            Err(NoWorker) if state.has_workers() => None,
            Err(NoWorker) => {
                state.queue.pop_back();
                return Err(NoWorker);
            }
        };
        self.waiting.store(state.queue.len(), Ordering::Release);
        drop(state);
        notify(wake);
        Ok(())
    }

    /// Sees to it that somebody will run what is queued, for a caller whose job has been waiting for
    /// long: when it was submitted, there may have been no thread to be had.
    pub(crate) fn call_for_help(&self) {
        let mut state = self.lock();
        // If nobody can be had, the next to finish a job or to submit one goes on.
        let wake = self.alarm(&mut state, Asker::Host).unwrap_or_default();
        drop(state);
        notify(wake);
    }

    /// Sends every worker home that has nothing to do.
    pub fn dismiss_idle(&self) {
        let mut state = self.lock();
        state.dismissals += 1;
        drop(state);
        self.wake.notify_all();
        self.ordered.notify_all();
    }

    /// Sees to it that a worker is alert while jobs wait: an idle one, else a new one. Gives what the one
    /// sleeps on who is to be woken when the lock has been released, which is the first thing that he
    /// will want.
    fn alarm(&self, state: &mut State, asker: Asker) -> Result<Option<&Condvar>, NoWorker> {
        if state.alert > 0 || state.queue.is_empty() {
            return Ok(None);
        }
        if state.idle > state.called {
            state.called += 1;
            state.alert += 1;
            return Ok(Some(&self.wake));
        }
        *state.vacancy().ok_or(NoWorker)? = Place::Starting;
        state.alert += 1;
        // The lock is held, so who has been started does not look around before we are done.
        if asker == Asker::Worker && (state.starter || spawn(|| POOL.start()).is_ok()) {
            state.starter = true;
            state.orders += 1;
            return Ok(Some(&self.ordered));
        }
        if spawn(|| POOL.work()).is_err() {
            state.call_off();
            return Err(NoWorker);
        }
        Ok(None)
    }

    /// The life of the starter.
    fn start(&self) {
        let mut state = self.lock();
        let dismissals = state.dismissals;
        let mut bored = false;
        loop {
            if state.orders > 0 {
                state.orders -= 1;
                drop(state);
                let started = spawn(|| POOL.work());
                state = self.lock();
                if started.is_err() {
                    state.call_off();
                }
            } else if bored || state.dismissals != dismissals {
                state.starter = false;
                return;
            } else {
                let woken = self.ordered.wait_timeout(state, IDLE);
                let (woken, slept) = woken.unwrap_or_else(PoisonError::into_inner);
                state = woken;
                bored = slept.timed_out();
            }
        }
    }

    /// The life of a worker.
    fn work(&self) {
        let mut state = self.lock();
        let Some(me) = state
            .places
            .iter()
            .position(|place| *place == Place::Starting)
        else {
            return;
        };
        state.set(me, Place::Waiting);
        // Whoever just finished a job goes on with the next; the others first see if they help.
        let mut in_the_flow = false;
        let mut sleeper = None;
        loop {
            if state.queue.is_empty() {
                state.width = 1;
                let dismissals = state.dismissals;
                state = self.linger(state, sleeper.take());
                if !state.queue.is_empty() {
                    continue;
                }
                state.alert -= 1;
                let Some(woken) = self.sleep(state, me, dismissals) else {
                    return;
                };
                state = woken;
                in_the_flow = false;
            } else if in_the_flow || state.flowing() < state.width {
                (state, sleeper) = self.take_one(state, me, sleeper);
                in_the_flow = true;
            } else {
                let finished = state.finished;
                let watched = self.watch.wait_timeout(state, TICK);
                state = watched.unwrap_or_else(PoisonError::into_inner).0;
                if state.finished - finished < BUSY_RATE {
                    state.width = (state.width * 2).min(MAX_WIDTH);
                }
            }
        }
    }

    /// Wakes who slept for the job before, and runs the first one of the queue. The caller was alert
    /// and is again afterwards.
    fn take_one<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        me: usize,
        sleeper: Option<&'static Condvar>,
    ) -> (MutexGuard<'a, State>, Option<&'static Condvar>) {
        let Some(job) = state.queue.pop_front() else {
            return (state, sleeper);
        };
        self.waiting.store(state.queue.len(), Ordering::Release);
        state.alert -= 1;
        // If nobody can be had, the next to finish a job or to submit one goes on.
        let wake = self.alarm(&mut state, Asker::Worker).unwrap_or_default();
        state.set(me, Place::Busy(Instant::now()));
        drop(state);
        notify(wake);
        if let Some(sleeper) = sleeper {
            sleeper.notify_all();
        }
        let sleeper = job.run();
        let mut state = self.lock();
        state.set(me, Place::Waiting);
        state.alert += 1;
        state.finished += 1;
        (state, sleeper)
    }

    /// Wakes who slept for the job before, and stays alert for a moment in case that he comes back with
    /// the next. The queue was empty; one worker that lingers is enough.
    fn linger<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        sleeper: Option<&'static Condvar>,
    ) -> MutexGuard<'a, State> {
        let others = state.alert > 1;
        if others && sleeper.is_none() {
            return state;
        }
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.notify_all();
        }
        if !others {
            self.spin.until(|| self.waiting.load(Ordering::Acquire) > 0);
        }
        self.lock()
    }

    /// Sleeps until called; `None` when it is time to leave, with the place given up: after a while, or
    /// when more `dismissals` have been counted than when there was nothing left to do.
    fn sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        me: usize,
        dismissals: u64,
    ) -> Option<MutexGuard<'a, State>> {
        let asleep = Instant::now();
        state.idle += 1;
        while state.called == 0 {
            let left = IDLE.saturating_sub(asleep.elapsed());
            if left.is_zero() || state.dismissals != dismissals {
                state.idle -= 1;
                state.set(me, Place::Vacant);
                return None;
            }
            let woken = self.wake.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.called -= 1;
        state.idle -= 1;
        Some(state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

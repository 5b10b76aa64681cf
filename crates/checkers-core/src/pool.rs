//! Threads for calls that may never come back.
//!
//! What a host needs of them: a burst of healthy checks must not start a thread each, and a device
//! that hangs must not delay anybody else's check. So the pool starts small and grows only when it
//! sees its workers held up:
//!
//! * A worker that has finished a job goes on with the next one in the queue.
//! * The pool has a *width*: how many jobs it runs side by side, at first one. While jobs wait, a
//!   *foreman* looks at the queue every [`TICK`]; as long as jobs are being finished at a rate that
//!   only the processor limits, more threads would not help. Otherwise it doubles the width, up to
//!   [`MAX_WIDTH`].
//! * Workers held up for longer than [`STUCK_AFTER`] do not count. So the number of threads is
//!   bounded by the width, the foreman, and the number of hung jobs.
//! * Threads are started by the foreman or by the host's threads, never by a worker: what the C
//!   library allocates for a new thread would give each worker an arena of its own.
//!
//! Idle threads leave after [`IDLE`].

use crate::memory::{OutOfMemory, try_push};
use crate::spin::Spin;
use crate::sync::lock;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The stack of a worker, in bytes. The daemon locks its memory, so each hung device costs this.
/// Probes need less than a third of it.
pub const STACK_SIZE: usize = 32 * 1024;

/// How often the foreman looks.
const TICK: Duration = Duration::from_micros(100);

/// This many jobs finished within a tick means that no device held them up.
const BUSY_RATE: u64 = 32;

/// A job that has been running for longer is one that its device holds up.
const STUCK_AFTER: Duration = Duration::from_millis(1);

/// How many jobs run side by side at most, those that are stuck not counted.
const MAX_WIDTH: usize = 15;

/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(10);

/// Something to be run once, by any worker.
pub(crate) trait Job: Sync {
    /// Does the work; must not panic.
    fn run(&'static self);

    /// Tells whoever waits for it that the work is done. Comes after `run`, when the worker can
    /// already be called again.
    fn announce(&'static self);
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

fn spawn_with_std(body: fn()) -> io::Result<()> {
    let builder = std::thread::Builder::new()
        .name("checker".into())
        .stack_size(STACK_SIZE);
    builder.spawn(body).map(drop)
}

/// The one pool of the process.
pub(crate) static POOL: Pool = Pool::new();

pub(crate) struct Pool {
    state: Mutex<State>,
    /// What idle workers sleep on.
    wake: Condvar,
    /// What the foreman sleeps on.
    bell: Condvar,
    /// [`State::called`] is not zero. For the worker that waits awake.
    calling: AtomicBool,
    spin: Spin,
}

struct State {
    queue: VecDeque<&'static dyn Job>,
    /// How many jobs the queue must be able to hold without allocating.
    room: usize,
    /// Workers without a job.
    idle: usize,
    /// One of them is awake and needs no waking.
    spinning: bool,
    /// Workers that have been told to take a job, or were started for one, and are on their way.
    called: usize,
    foreman: Foreman,
    /// How many jobs may run side by side at the moment.
    width: usize,
    /// Every worker's place; a vacant one is reused.
    places: Vec<Place>,
    /// Jobs finished, ever.
    finished: u64,
    /// Raised to send the idle threads home.
    dismissals: u64,
    /// The process that the threads belong to.
    process: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Foreman {
    Absent,
    Asleep,
    Awake,
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
            (self.idle, self.called, self.width) = (0, 0, 1);
            (self.spinning, self.foreman) = (false, Foreman::Absent);
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

    fn set(&mut self, worker: usize, doing: Place) {
        if let Some(place) = self.places.get_mut(worker) {
            *place = doing;
        }
    }
}

/// No worker can be had.
#[derive(Debug)]
pub(crate) struct NoWorker;

impl Pool {
    const fn new() -> Pool {
        Pool {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                room: 0,
                idle: 0,
                spinning: false,
                called: 0,
                foreman: Foreman::Absent,
                width: 1,
                places: Vec::new(),
                finished: 0,
                dismissals: 0,
                process: 0,
            }),
            wake: Condvar::new(),
            bell: Condvar::new(),
            calling: AtomicBool::new(false),
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

    /// Queues `job`, for which [`Pool::make_room`] has been called, and sees to it that somebody
    /// will run it.
    ///
    /// # Errors
    /// When there is no worker at all and none can be started; the job is not queued then.
    pub(crate) fn submit(&self, job: &'static dyn Job) -> Result<(), NoWorker> {
        let mut state = self.lock();
        state.forget_foreign_workers();
        state.queue.push_back(job);
        if self.find_hands(&mut state) {
            Ok(())
        } else {
            state.queue.pop_back();
            Err(NoWorker)
        }
    }

    /// Sees to it that somebody will run what is queued, for a caller whose job has been waiting for
    /// long: when it was submitted, there may have been no thread to be had.
    pub(crate) fn call_for_help(&self) {
        let mut state = self.lock();
        if !state.queue.is_empty() {
            self.find_hands(&mut state);
        }
    }

    /// Sends every thread home that has nothing to do.
    pub(crate) fn dismiss_idle(&self) {
        let mut state = self.lock();
        state.dismissals += 1;
        drop(state);
        self.wake.notify_all();
        self.bell.notify_all();
    }

    /// Makes sure of a worker for the first job in the queue, and of the foreman's eye on the others.
    /// `false` when there is nobody.
    fn find_hands(&self, state: &mut State) -> bool {
        let on_the_way =
            state.called > 0 || (state.idle > 0 || !state.has_workers()) && self.one_more(state);
        if on_the_way && state.queue.len() == 1 {
            return true;
        }
        self.call_foreman(state) || on_the_way || state.has_workers()
    }

    /// Calls one more worker: an idle one, else a new one.
    fn one_more(&self, state: &mut State) -> bool {
        if state.idle > state.called {
            state.called += 1;
            self.calling.store(true, Ordering::Release);
            if !state.spinning || state.called > 1 {
                self.wake.notify_one();
            }
            return true;
        }
        let Some(place) = state.vacancy() else {
            return false;
        };
        *place = Place::Starting;
        // The lock is held, so the new worker cannot look for its place before we are done.
        if spawn(|| POOL.work()).is_err() {
            *place = Place::Vacant;
            return false;
        }
        state.called += 1;
        true
    }

    fn call_foreman(&self, state: &mut State) -> bool {
        match state.foreman {
            Foreman::Awake => {}
            Foreman::Asleep => self.bell.notify_one(),
            Foreman::Absent => {
                if spawn(|| POOL.supervise()).is_err() {
                    return false;
                }
            }
        }
        state.foreman = Foreman::Awake;
        true
    }

    /// The life of the foreman.
    fn supervise(&self) {
        let mut state = self.lock();
        loop {
            if state.queue.is_empty() {
                state.width = 1;
                let Some(called) = self.rest(state) else {
                    return;
                };
                state = called;
                continue;
            }
            let finished = state.finished;
            let rung = self.bell.wait_timeout(state, TICK);
            state = rung.unwrap_or_else(PoisonError::into_inner).0;
            if state.finished - finished < BUSY_RATE {
                state.width = (state.width * 2).min(MAX_WIDTH);
            }
            while state.queue.len() > state.called && state.flowing() + state.called < state.width {
                if !self.one_more(&mut state) {
                    break;
                }
            }
        }
    }

    /// The foreman sleeps until called; `None` when it is time to leave.
    fn rest<'a>(&'a self, state: MutexGuard<'a, State>) -> Option<MutexGuard<'a, State>> {
        let mut state = state;
        let dismissals = state.dismissals;
        let asleep = Instant::now();
        state.foreman = Foreman::Asleep;
        while state.foreman == Foreman::Asleep {
            let left = IDLE.saturating_sub(asleep.elapsed());
            if left.is_zero() || state.dismissals != dismissals {
                state.foreman = Foreman::Absent;
                return None;
            }
            let rung = self.bell.wait_timeout(state, left);
            state = rung.unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(state)
    }

    /// The life of a worker.
    fn work(&self) {
        let mut state = self.lock();
        let mut places = state.places.iter();
        let Some(me) = places.position(|place| *place == Place::Starting) else {
            return;
        };
        state.set(me, Place::Waiting);
        self.take_call(&mut state);
        let mut done: Option<&'static dyn Job> = None;
        loop {
            match state.queue.pop_front() {
                Some(job) => {
                    state.set(me, Place::Busy(Instant::now()));
                    drop(state);
                    if let Some(done) = done {
                        done.announce();
                    }
                    job.run();
                    done = Some(job);
                    state = self.lock();
                    state.finished += 1;
                }
                None => {
                    state.set(me, Place::Waiting);
                    match self.sleep(state, me, done.take()) {
                        Some(called) => state = called,
                        None => return,
                    }
                }
            }
        }
    }

    /// Announces `done` and sleeps until called; `None` when it is time to leave, with the place
    /// given up.
    fn sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        me: usize,
        done: Option<&'static dyn Job>,
    ) -> Option<MutexGuard<'a, State>> {
        let dismissals = state.dismissals;
        state.idle += 1;
        if let Some(done) = done {
            let spins = !state.spinning && self.spin.pays();
            state.spinning |= spins;
            drop(state);
            done.announce();
            if spins {
                self.spin.until(|| self.calling.load(Ordering::Acquire));
            }
            state = self.lock();
            state.spinning &= !spins;
        }
        let asleep = Instant::now();
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
        state.idle -= 1;
        self.take_call(&mut state);
        Some(state)
    }

    fn take_call(&self, state: &mut State) {
        state.called = state.called.saturating_sub(1);
        self.calling.store(state.called > 0, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

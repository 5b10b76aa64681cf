// SPDX-License-Identifier: LGPL-2.0-or-later

//! Threads for calls that may never come back.
//!
//! A burst of healthy checks must not start a thread each, and a device that hangs must not delay the check
//! of another. Two roles share the work:
//!
//! * *Workers* take jobs as long as the queue holds any. A worker without a job spins for a moment, since a
//!   host submits one check after the other, then sleeps until it is woken, and ends after [`IDLE`].
//! * One *starter* is awake while jobs wait. It alone starts workers, more with each step as long as too few
//!   jobs end ([`Pace`](starter::Pace)). If the system gives no thread, it tries again for as long as jobs
//!   wait. While it waits for a thread, jobs wake idle workers directly.
//!
//! A job is queued only if a starter exists or a worker without a job is there for it. So no job waits
//! without a thread that will run it or will start one that does.
//!
//! Workers neither allocate nor free. glibc gives each thread that does an arena of its own (132 KiB, locked
//! in a daemon that locks its memory); starting a thread allocates as well, so one thread does all of that.
//!
//! A child process has the memory of its parent, but not its threads: the first call in a child empties the
//! queue and forgets the workers.
//!
//! | file | subject |
//! |---|---|
//! | `state` | what the lock protects: queue, workers, starter |
//! | `starter` | the thread that starts workers |
//! | `worker` | the threads that run jobs |
//! | `thread` | how a thread is started |

#![forbid(unsafe_code)]

mod starter;
mod state;
#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;
mod thread;
mod worker;

pub use thread::{STACK_SIZE, Spawner, set_spawner, spawn};

use super::spin::Spin;
use crate::memory::{OutOfMemory, try_box};
use crate::process_static;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::time::Duration;
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError, broken, lock};
use kernel_fd::fork::Generation;
use state::{Alert, Starter, State};
use std::any::TypeId;

/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(10);

/// Something to be run once, by any worker.
pub trait Job: Sync {
    /// Does the work; must not panic. Returns the condvar of the thread waiting for this job, if any: the
    /// pool signals it once this worker can take another job.
    fn run(&'static self) -> Option<&'static Condvar>;
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
            state: Mutex::new(State::new()),
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
        self.lock().queue.make_room()
    }

    /// What is shared by everything that names the type `T`, made by `make` at the first call. It lives as long
    /// as the process.
    ///
    /// # Errors
    /// [`OutOfMemory`] when it would have to be made.
    pub(super) fn shared<T: Send + Sync + 'static>(
        &'static self,
        make: fn(&'static Pool) -> T,
    ) -> Result<&'static T, OutOfMemory> {
        let mut state = self.lock();
        let wanted = TypeId::of::<T>();
        let known = state.shared.iter().find(|(of, _)| *of == wanted);
        if let Some(shared) = known.and_then(|(_, shared)| shared.downcast_ref()) {
            return Ok(shared);
        }
        state.shared.try_reserve(1).map_err(|_| OutOfMemory)?;
        let [shared] = Box::leak(try_box(make(self))?);
        state.shared.push((wanted, shared));
        Ok(shared)
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
            } else if state.workers.available() <= state.queue.len()
                && !broken("a job is queued although no thread can be had")
            {
                return Err(NoWorker);
            }
        }
        state.queue.push(job);
        let alert = self.alert(&mut state);
        drop(state);
        self.signal(alert);
        Ok(())
    }

    /// Takes `job` out of the queue. Returns whether it was there; if not, a worker has taken it.
    pub fn withdraw(&self, job: &'static dyn Job) -> bool {
        let mut state = self.lock();
        let found = state.queue.remove(job);
        self.waiting.store(state.queue.len(), Ordering::Release);
        found
    }

    /// Has a worker started ahead of the next job, if none is free now. For a host that has just found its
    /// job hanging and submits the next one soon.
    pub fn prepare_spare(&self) {
        let mut state = self.lock();
        if state.starter == Starter::Asleep && state.workers.available() == 0 {
            state.starter = Starter::SpareWanted;
            drop(state);
            self.workers_wanted.notify_one();
        }
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

    /// Publishes the length of the queue and returns what to signal once the lock is released.
    fn alert(&self, state: &mut State) -> Alert {
        self.waiting.store(state.queue.len(), Ordering::Release);
        state.alert()
    }

    fn signal(&self, alert: Alert) {
        match alert {
            Alert::None => (),
            Alert::Worker => self.job_queued.notify_one(),
            Alert::Starter => self.workers_wanted.notify_one(),
        }
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

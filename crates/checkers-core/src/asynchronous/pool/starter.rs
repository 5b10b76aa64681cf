// SPDX-License-Identifier: LGPL-2.0-or-later

//! The thread that starts workers.

#![forbid(unsafe_code)]

use super::state::{Starter, State};
use super::{IDLE, Pool, wait};
use crate::sync::{MutexGuard, broken};
use std::time::Duration;

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

/// How fast workers are started while jobs wait: 1, 2, 4 … [`MAX_WIDTH`] after each tick in which fewer than
/// [`BUSY_RATE`] jobs have ended, and more only when none has ended for [`ALL_HUNG`] ticks.
pub(super) struct Pace {
    /// How many workers the next step starts.
    width: usize,
    /// Ticks in a row in which no job has ended.
    quiet: u32,
    /// How long to wait after the next failure.
    retry: Duration,
}

impl Pace {
    const FIRST: Pace = Pace {
        width: 1,
        quiet: 0,
        retry: RETRY,
    };

    fn tick(&self) -> Duration {
        if self.width < MAX_WIDTH {
            TICK
        } else {
            LONG_TICK
        }
    }

    /// Takes in how many jobs have ended within a tick. Returns whether workers are needed.
    fn needs_workers(&mut self, ended: u64) -> bool {
        match ended {
            BUSY_RATE.. => return false,
            0 => self.quiet = self.quiet.saturating_add(1),
            _ => self.quiet = 0,
        }
        true
    }

    /// How many workers this step starts for so many jobs that wait.
    fn step(&mut self, waiting: usize) -> usize {
        if self.quiet < ALL_HUNG {
            self.width = self.width.min(MAX_WIDTH);
        }
        let wanted = self.width.min(waiting);
        self.width = self.width.saturating_mul(2);
        wanted
    }

    /// How long to wait now that the system has given no thread.
    fn failed(&mut self) -> Duration {
        let pause = self.retry;
        self.retry = (self.retry * 2).min(MAX_RETRY);
        pause
    }
}

impl Pool {
    /// The body of the starter. Returns when no job has waited for [`IDLE`], or when dismissed.
    pub fn start_workers(&self) {
        let mut state = self.lock();
        let mut dismissals = state.dismissals;
        let mut pace = Pace::FIRST;
        loop {
            if state.starter == Starter::SpareWanted {
                state = self.start_spare(state);
            } else if state.queue.is_empty() {
                pace = Pace::FIRST;
                match self.rest(state, dismissals) {
                    Some(rested) => state = rested,
                    None => return,
                }
            } else {
                dismissals = state.dismissals;
                state = self.widen(state, &mut pace);
            }
        }
    }

    /// Lets one tick pass, then starts workers if they are needed.
    fn widen<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        pace: &mut Pace,
    ) -> MutexGuard<'a, State> {
        if state.workers.alive > 0 {
            let ended = state.ended;
            state = wait(&self.tick, state, pace.tick()).0;
            let ended = state.ended - ended;
            if !pace.needs_workers(ended) {
                return state;
            }
        }
        let wanted = pace.step(state.queue.len());
        let started;
        (state, started) = self.provide(state, wanted);
        if started {
            pace.retry = RETRY;
        } else {
            state.starter = Starter::Occupied;
            state = wait(&self.tick, state, pace.failed()).0;
            state.starter = Starter::Awake;
        }
        state
    }

    /// Starts a worker ahead of the next job, unless one is free. Without a thread the next job finds none,
    /// as if this had not been tried.
    fn start_spare<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.starter = Starter::Awake;
        if state.workers.available() == 0 {
            state = self.start_one(state).0;
        }
        state
    }

    /// Sleeps while no job waits. Returns `None` when the starter is to end; the state then has none.
    fn rest<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        dismissals: u64,
    ) -> Option<MutexGuard<'a, State>> {
        let mut idle = false;
        if state.dismissals == dismissals {
            state.starter = Starter::Asleep;
            (state, idle) = wait(&self.workers_wanted, state, IDLE);
        }
        let dismissed = state.dismissals != dismissals;
        let spare_wanted = state.starter == Starter::SpareWanted && !dismissed;
        let wanted = !state.queue.is_empty() || spare_wanted;
        let ends = idle || dismissed;
        if ends && (!wanted || broken("the starter ends with jobs queued")) {
            state.starter = Starter::Absent;
            return None;
        }
        if !spare_wanted {
            state.starter = Starter::Awake;
        }
        Some(state)
    }

    /// Wakes and starts `wanted` workers. Returns whether the system gave as many threads as asked for.
    fn provide<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        wanted: usize,
    ) -> (MutexGuard<'a, State>, bool) {
        let asleep = wanted.min(state.workers.asleep);
        for _ in 0..asleep {
            self.job_queued.notify_one();
        }
        for _ in asleep..wanted {
            if state.queue.is_empty() {
                break;
            }
            let started;
            (state, started) = self.start_one(state);
            if !started {
                return (state, false);
            }
        }
        (state, true)
    }

    /// Starts one worker, with the lock released meanwhile. Returns whether the system gave a thread.
    fn start_one<'a>(&'a self, mut state: MutexGuard<'a, State>) -> (MutexGuard<'a, State>, bool) {
        state.workers.alive += 1;
        state.starter = Starter::Occupied;
        drop(state);
        let started = (self.spawn)(self.worker).is_ok();
        state = self.lock();
        state.starter = Starter::Awake;
        if !started {
            state.workers.alive -= 1;
        }
        (state, started)
    }
}

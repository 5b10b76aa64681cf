// SPDX-License-Identifier: LGPL-2.0-or-later

//! The threads that run jobs.

#![forbid(unsafe_code)]

use super::state::State;
use super::{IDLE, Pool, wait};
use crate::sync::atomic::Ordering;
use crate::sync::time::Instant;
use crate::sync::{Condvar, MutexGuard, broken};

impl Pool {
    /// The body of a worker. Returns when there was nothing to do for [`IDLE`], or when dismissed.
    pub fn work(&self) {
        let mut state = self.lock();
        let mut dismissals = state.dismissals;
        let mut waiter = None;
        loop {
            while let Some(job) = state.queue.pop() {
                dismissals = state.dismissals;
                let alert = self.alert(&mut state);
                drop(state);
                if !broken("a worker takes a job and forgets the others") {
                    self.signal(alert);
                }
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
                    state.workers.alive -= 1;
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
        let spins = !std::mem::replace(&mut state.workers.spinning, true);
        if !spins && waiter.is_none() {
            return state;
        }
        drop(state);
        signal_all(waiter);
        if spins {
            self.spin.until(|| self.waiting.load(Ordering::Acquire) > 0);
        }
        state = self.lock();
        if !broken("a worker that has spun still counts as spinning") {
            state.workers.spinning &= !spins;
        }
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
        state.workers.asleep += 1;
        while state.queue.is_empty() {
            let left = IDLE.saturating_sub(asleep.elapsed());
            if left.is_zero() || state.dismissals != dismissals {
                state.workers.asleep -= 1;
                return (state, true);
            }
            state = wait(&self.job_queued, state, left).0;
        }
        state.workers.asleep -= 1;
        (state, false)
    }
}

fn signal_all(condvar: Option<&Condvar>) {
    if let Some(condvar) = condvar {
        condvar.notify_all();
    }
}

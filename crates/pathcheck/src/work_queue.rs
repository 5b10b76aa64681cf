// SPDX-License-Identifier: LGPL-2.0-or-later

//! The jobs of the worker process, and the checks in flight.
//!
//! A thread has one job at a time, so that a device that hangs blocks no other job. A check in flight
//! belongs to no thread: the next free thread polls it when it is due.

use crate::check::Check;
use crate::device_info::DeviceInfo;
use crate::protocol::{Event, Job, Report, Step};
use std::collections::BTreeMap;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The queue. No call that may block is made with its lock held.
pub(crate) struct WorkQueue {
    jobs: Vec<Job>,
    state: Mutex<State>,
    /// The last job has ended.
    done: Condvar,
}

#[derive(Default)]
struct State {
    /// How many jobs have been taken, in their order.
    taken: usize,
    /// The jobs that have been taken and have not ended, by index.
    in_flight: BTreeMap<usize, InFlight>,
    /// The checks in flight, by the time of the next poll.
    waiting: BTreeMap<(Instant, usize), Check>,
    /// How often a thread has finished a step.
    returns: u64,
    /// The reports that have not been sent to the supervisor.
    reports: Vec<Report>,
}

struct InFlight {
    step: Step,
    /// The device's information, until it is reported.
    info: Option<DeviceInfo>,
    reported: Reported,
}

/// Whether a step has been reported. Only steps that last are, since reporting the short ones would cost
/// more than they do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reported {
    /// It has begun since the last snapshot.
    New,
    /// It had begun at the last snapshot.
    Lasting,
    /// It has been reported.
    Done,
}

/// The next step of a thread.
pub(crate) enum Task<'a> {
    Begin(usize, &'a Job),
    Poll(usize, Check),
}

/// The state of the queue, with the reports since the last snapshot.
pub(crate) struct Snapshot {
    pub(crate) reports: Vec<Report>,
    /// The number of jobs that no thread has taken.
    pub(crate) left: usize,
    /// How often a thread has finished a step, since the start.
    pub(crate) returns: u64,
    /// How long the first check in flight has been due.
    pub(crate) overdue: Duration,
    pub(crate) done: bool,
}

impl WorkQueue {
    pub(crate) fn new(jobs: Vec<Job>) -> WorkQueue {
        WorkQueue {
            jobs,
            state: Mutex::default(),
            done: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next step: a check that is due, or else a job, or else, after a sleep, the check that is
    /// due first. `None` when other threads have all that is left.
    pub(crate) fn take(&self) -> Option<Task<'_>> {
        let now = Instant::now();
        let ((due, index), check) = {
            let state = &mut *self.state();
            let job = self.jobs.get(state.taken);
            match (state.waiting.first_entry(), job) {
                (Some(first), job) if first.key().0 <= now || job.is_none() => first.remove_entry(),
                (_, Some(job)) => return Some(state.begin(job)),
                (_, None) => return None,
            }
        };
        let early = due.saturating_duration_since(now);
        if !early.is_zero() {
            thread::sleep(early);
        }
        Some(Task::Poll(index, check))
    }

    /// Returns a check, which any thread may poll when it is due.
    pub(crate) fn put(&self, index: usize, check: Check) {
        let mut state = self.state();
        state.returns += 1;
        state.waiting.insert((check.due(), index), check);
    }

    /// Records an event of a job that has been taken.
    pub(crate) fn record(&self, index: usize, event: Event) {
        let mut state = self.state();
        match event {
            Event::Begins(step) => {
                if let Some(job) = state.in_flight.get_mut(&index) {
                    job.step = step;
                    job.reported = Reported::New;
                }
            }
            Event::Found(info) => {
                if let Some(job) = state.in_flight.get_mut(&index) {
                    job.info = Some(info);
                }
            }
            Event::Ended(_) => {
                state.returns += 1;
                let info = state.in_flight.remove(&index).and_then(|job| job.info);
                let reports = &mut state.reports;
                reports.extend(info.map(|info| Report::new(index, Event::Found(info))));
                reports.push(Report::new(index, event));
                if state.is_done(&self.jobs) {
                    self.done.notify_all();
                }
            }
        }
    }

    /// Waits until all jobs have ended, at most for `limit`, and returns the state of the queue.
    pub(crate) fn watch(&self, limit: Duration) -> Snapshot {
        let not_done = |state: &mut State| !state.is_done(&self.jobs);
        let waited = self.done.wait_timeout_while(self.state(), limit, not_done);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.report_steps();
        let first = state.waiting.first_key_value();
        Snapshot {
            left: self.jobs.len() - state.taken,
            returns: state.returns,
            overdue: first.map_or(Duration::ZERO, |((due, _), _)| due.elapsed()),
            done: state.is_done(&self.jobs),
            reports: mem::take(&mut state.reports),
        }
    }
}

impl State {
    fn begin<'a>(&mut self, job: &'a Job) -> Task<'a> {
        let index = self.taken;
        self.taken += 1;
        let in_flight = InFlight {
            step: Step::Find,
            info: None,
            reported: Reported::New,
        };
        self.in_flight.insert(index, in_flight);
        Task::Begin(index, job)
    }

    fn is_done(&self, jobs: &[Job]) -> bool {
        self.taken == jobs.len() && self.in_flight.is_empty()
    }

    /// Reports the steps that had begun at the last snapshot and still last.
    fn report_steps(&mut self) {
        for (index, job) in &mut self.in_flight {
            match job.reported {
                Reported::New => job.reported = Reported::Lasting,
                Reported::Lasting => {
                    job.reported = Reported::Done;
                    let info = job.info.take().map(Event::Found);
                    let event = info.into_iter().chain([Event::Begins(job.step)]);
                    self.reports
                        .extend(event.map(|event| Report::new(*index, event)));
                }
                Reported::Done => {}
            }
        }
    }
}

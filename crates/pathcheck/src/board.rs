//! What the threads of the worker share: the jobs and how far each has come.
//!
//! A thread has one job at a time, and nobody else's work with it when a device holds it up: while a
//! check is under way it belongs to no thread, and whoever is free looks for its answer.

use crate::check::Check;
use crate::facts::Facts;
use crate::protocol::{Job, News, Report, Step};
use std::collections::BTreeMap;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The board. Nothing that can block is done with its lock.
pub(crate) struct Board {
    jobs: Vec<Job>,
    state: Mutex<State>,
    /// The last job has ended.
    done: Condvar,
}

#[derive(Default)]
struct State {
    /// How many jobs have been taken, in their order.
    taken: usize,
    /// What has been taken and has not ended, by index.
    under_way: BTreeMap<usize, UnderWay>,
    /// The checks under way, by the time at which to look for the answer.
    waiting: BTreeMap<(Instant, usize), Check>,
    /// How often a thread has come back from a device.
    returns: u64,
    /// What the other process has not been told.
    reports: Vec<Report>,
}

struct UnderWay {
    step: Step,
    /// What the device is, until that is reported.
    facts: Option<Facts>,
    told: Told,
}

/// Whether a step is known to last. Most are over before anybody could wonder; to tell of them would
/// cost more than they do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// It has begun since the last look.
    New,
    /// It had begun at the last look.
    Seen,
    /// It has been reported.
    Reported,
}

/// What a thread is to do.
pub(crate) enum Task<'a> {
    Begin(usize, &'a Job),
    Look(usize, Check),
}

/// What has come about since the last look at the board.
pub(crate) struct Look {
    pub(crate) reports: Vec<Report>,
    /// How many jobs nobody has taken.
    pub(crate) left: usize,
    /// How often a thread has come back from a device, since the start.
    pub(crate) returns: u64,
    /// How long the check has been waiting that a thread should have looked at first.
    pub(crate) unattended: Duration,
    pub(crate) done: bool,
}

impl Board {
    pub(crate) fn new(jobs: Vec<Job>) -> Board {
        Board {
            jobs,
            state: Mutex::default(),
            done: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next thing to do: an answer that is due, or else a job, or else the answer that will be due
    /// first, after some sleep. Nothing when all that is left is with other threads.
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
        Some(Task::Look(index, check))
    }

    /// Puts a check up for whoever is free when it is due.
    pub(crate) fn put(&self, index: usize, check: Check) {
        let mut state = self.state();
        state.returns += 1;
        state.waiting.insert((check.due(), index), check);
    }

    /// Takes note of the news of a job that has been taken.
    pub(crate) fn note(&self, index: usize, news: News) {
        let mut state = self.state();
        match news {
            News::Begins(step) => {
                if let Some(job) = state.under_way.get_mut(&index) {
                    job.step = step;
                    job.told = Told::New;
                }
            }
            News::Found(facts) => {
                if let Some(job) = state.under_way.get_mut(&index) {
                    job.facts = Some(facts);
                }
            }
            News::Ended(_) => {
                state.returns += 1;
                let facts = state.under_way.remove(&index).and_then(|job| job.facts);
                let reports = &mut state.reports;
                reports.extend(facts.map(|facts| Report::new(index, News::Found(facts))));
                reports.push(Report::new(index, news));
                if state.is_done(&self.jobs) {
                    self.done.notify_all();
                }
            }
        }
    }

    /// Waits until all is done, at most for `patience`, and says what has come about.
    pub(crate) fn watch(&self, patience: Duration) -> Look {
        let not_done = |state: &mut State| !state.is_done(&self.jobs);
        let waited = self
            .done
            .wait_timeout_while(self.state(), patience, not_done);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.tell_of_steps();
        let first = state.waiting.first_key_value();
        Look {
            left: self.jobs.len() - state.taken,
            returns: state.returns,
            unattended: first.map_or(Duration::ZERO, |((due, _), _)| due.elapsed()),
            done: state.is_done(&self.jobs),
            reports: mem::take(&mut state.reports),
        }
    }
}

impl State {
    fn begin<'a>(&mut self, job: &'a Job) -> Task<'a> {
        let index = self.taken;
        self.taken += 1;
        let under_way = UnderWay {
            step: Step::LookUp,
            facts: None,
            told: Told::New,
        };
        self.under_way.insert(index, under_way);
        Task::Begin(index, job)
    }

    fn is_done(&self, jobs: &[Job]) -> bool {
        self.taken == jobs.len() && self.under_way.is_empty()
    }

    /// Reports the steps that had begun at the last look and still last.
    fn tell_of_steps(&mut self) {
        for (index, job) in &mut self.under_way {
            match job.told {
                Told::New => job.told = Told::Seen,
                Told::Seen => {
                    job.told = Told::Reported;
                    let facts = job.facts.take().map(News::Found);
                    let news = facts.into_iter().chain([News::Begins(job.step)]);
                    self.reports
                        .extend(news.map(|news| Report::new(*index, news)));
                }
                Told::Reported => {}
            }
        }
    }
}

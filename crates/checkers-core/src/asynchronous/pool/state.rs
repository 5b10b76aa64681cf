// SPDX-License-Identifier: LGPL-2.0-or-later

//! What the pool's lock protects.

#![forbid(unsafe_code)]

use super::Job;
use crate::memory::OutOfMemory;
use kernel_fd::fork::{Generation, Home};
use std::any::{Any, TypeId};
use std::collections::VecDeque;

pub(super) struct State {
    pub(super) queue: Queue,
    pub(super) workers: Workers,
    pub(super) starter: Starter,
    /// Jobs ended, ever.
    pub(super) ended: u64,
    /// Raised to make idle threads end.
    pub(super) dismissals: u64,
    /// The process that the threads belong to.
    home: Home,
    /// One value for each type that has been asked for ([`Pool::shared`](super::Pool::shared)).
    pub(super) shared: Vec<(TypeId, &'static (dyn Any + Send + Sync))>,
}

/// Jobs that no worker has taken, the oldest first.
pub(super) struct Queue {
    jobs: VecDeque<&'static dyn Job>,
    /// How many jobs the queue holds without allocating, in use or not.
    room: usize,
}

/// The workers. Those that are neither asleep nor spinning run a job, or are about to look for one.
pub(super) struct Workers {
    /// Started and not ended, hung ones included.
    pub(super) alive: usize,
    pub(super) asleep: usize,
    /// One spins, and takes the next job.
    pub(super) spinning: bool,
}

/// The thread that starts workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Starter {
    Absent,
    Asleep,
    /// Signalled while no job waits, for a worker ahead of the next job.
    SpareWanted,
    Awake,
    /// It waits for a thread of the system, and wakes no worker meanwhile.
    Occupied,
}

/// What to signal so that the queued jobs are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alert {
    None,
    /// One idle worker.
    Worker,
    Starter,
}

impl State {
    pub(super) const fn new() -> State {
        State {
            queue: Queue {
                jobs: VecDeque::new(),
                room: 0,
            },
            workers: Workers::NONE,
            starter: Starter::Absent,
            ended: 0,
            dismissals: 0,
            home: Home::unknown(),
            shared: Vec::new(),
        }
    }

    /// Forgets threads and jobs of a parent process. `here` is this process, `None` when there was no memory
    /// for the fork handler: then a fork goes unnoticed, and the pool works all the same.
    pub(super) fn enter_process(&mut self, here: Option<Generation>) {
        if !self.home.has_changed(here) {
            return;
        }
        self.queue.jobs.clear();
        self.workers = Workers::NONE;
        self.starter = Starter::Absent;
    }

    /// What to signal after the queue has changed. A starter that is to be signalled counts as awake from then on.
    pub(super) fn alert(&mut self) -> Alert {
        let waiting = self.queue.len();
        if waiting == 0 || self.workers.spinning {
            return Alert::None;
        }
        let idle_worker = match self.workers.asleep {
            0 => Alert::None,
            _ => Alert::Worker,
        };
        match self.starter {
            Starter::Awake => Alert::None,
            Starter::Absent | Starter::SpareWanted | Starter::Occupied => idle_worker,
            Starter::Asleep if waiting == 1 && idle_worker == Alert::Worker => idle_worker,
            Starter::Asleep => {
                self.starter = Starter::Awake;
                Alert::Starter
            }
        }
    }
}

impl Queue {
    /// Makes sure that one job more than before can be queued without allocating.
    pub(super) fn make_room(&mut self) -> Result<(), OutOfMemory> {
        let missing = (self.room + 1).saturating_sub(self.jobs.len());
        self.jobs.try_reserve(missing).map_err(|_| OutOfMemory)?;
        self.room += 1;
        Ok(())
    }

    pub(super) fn push(&mut self, job: &'static dyn Job) {
        self.jobs.push_back(job);
    }

    pub(super) fn pop(&mut self) -> Option<&'static dyn Job> {
        self.jobs.pop_front()
    }

    /// Returns whether the job was there.
    pub(super) fn remove(&mut self, job: &'static dyn Job) -> bool {
        let mut jobs = self.jobs.iter();
        let position = jobs.position(|queued| std::ptr::addr_eq(*queued, job));
        position.is_some_and(|position| self.jobs.remove(position).is_some())
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    #[cfg(all(test, not(shuttle)))]
    pub(super) fn capacity(&self) -> usize {
        self.jobs.capacity()
    }
}

impl Workers {
    const NONE: Workers = Workers {
        alive: 0,
        asleep: 0,
        spinning: false,
    };

    /// How many take a job as soon as they get the lock.
    pub(super) fn available(&self) -> usize {
        self.asleep + usize::from(self.spinning)
    }
}

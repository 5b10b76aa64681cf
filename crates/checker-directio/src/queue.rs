//! The deferred submissions that no worker has begun.
//!
//! A worker takes the oldest one, whichever job of the pool it runs. So the jobs in the pool are as many
//! as there were submissions waiting at one time, no matter how often one is called off and queued again
//! while there are no workers.

use crate::place::Place;
use checkers_core::memory::OutOfMemory;
use libaio_sys::Submission;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;

/// Which deferred submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(u64);

/// One of them.
#[derive(Debug)]
pub(crate) struct Deferred {
    pub(crate) id: Id,
    pub(crate) place: Place,
    pub(crate) submission: Submission,
    /// A duplicate of the host's descriptor, which may be closed by the time that a worker begins.
    pub(crate) file: OwnedFd,
}

/// All of them, oldest first.
pub(crate) struct Queue {
    waiting: VecDeque<Deferred>,
    next_id: u64,
    /// Jobs in the pool that have not begun.
    jobs: usize,
}

impl Queue {
    pub(crate) const fn new() -> Queue {
        Queue {
            waiting: VecDeque::new(),
            next_id: 0,
            jobs: 0,
        }
    }

    /// Makes room for one more.
    pub(crate) fn reserve(&mut self) -> Result<(), OutOfMemory> {
        self.waiting.try_reserve(1).map_err(|_| OutOfMemory)
    }

    /// Queues a submission, for which there is room.
    pub(crate) fn push(&mut self, place: Place, submission: Submission, file: OwnedFd) -> Id {
        let id = Id(self.next_id);
        self.next_id += 1;
        self.waiting.push_back(Deferred {
            id,
            place,
            submission,
            file,
        });
        id
    }

    /// Whether there are more submissions than jobs to make them. If so, the caller has one more job to
    /// submit, which counts from now on.
    pub(crate) fn wants_job(&mut self) -> bool {
        let wanted = self.jobs < self.waiting.len();
        self.jobs += usize::from(wanted);
        wanted
    }

    /// A job that was to be submitted is not in the pool.
    pub(crate) fn job_refused(&mut self) {
        self.jobs = self.jobs.saturating_sub(1);
    }

    /// The oldest submission, for the worker that has begun a job.
    pub(crate) fn begin(&mut self) -> Option<Deferred> {
        self.jobs = self.jobs.saturating_sub(1);
        self.waiting.pop_front()
    }

    /// Takes a submission back, unless a worker has begun it.
    pub(crate) fn call_off(&mut self, id: Id) -> Option<Deferred> {
        let at = self.waiting.binary_search_by_key(&id, |waiting| waiting.id);
        self.waiting.remove(at.ok()?)
    }

    /// Forgets everything: this is a child process, whose pool has none of the jobs.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.jobs = 0;
    }
}

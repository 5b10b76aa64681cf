// SPDX-License-Identifier: LGPL-2.0-or-later

//! The deferred submissions that no worker has begun.
//!
//! A worker takes the oldest, whichever job of the pool it runs. So the pool has as many jobs as submissions
//! have waited at one time, however often one is taken back and queued again while there are no workers.

use crate::kernel::{OwnedFd, Submission};
use crate::place::Place;
use crate::read::DeferredId;
use checkers_core::memory::OutOfMemory;
use std::collections::VecDeque;

/// A submission for a worker.
#[derive(Debug)]
pub(crate) struct Deferred {
    pub(crate) id: DeferredId,
    pub(crate) place: Place,
    pub(crate) submission: Submission,
    /// A duplicate of the host's descriptor, which the host may have closed when a worker begins.
    pub(crate) file: OwnedFd,
}

/// All deferred submissions that wait, oldest first.
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

    /// Makes room for one more submission.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub(crate) fn reserve(&mut self) -> Result<(), OutOfMemory> {
        self.waiting.try_reserve(1).map_err(|_| OutOfMemory)
    }

    /// Queues a submission, for which there is room.
    pub(crate) fn push(
        &mut self,
        place: Place,
        submission: Submission,
        file: OwnedFd,
    ) -> DeferredId {
        let id = DeferredId(self.next_id);
        self.next_id += 1;
        self.waiting.push_back(Deferred {
            id,
            place,
            submission,
            file,
        });
        id
    }

    /// Whether there are more submissions than jobs. If so, the caller must submit one more job, which counts
    /// from now on.
    pub(crate) fn wants_job(&mut self) -> bool {
        let wanted = self.jobs < self.waiting.len();
        self.jobs += usize::from(wanted);
        wanted
    }

    /// The pool has refused a job that counts.
    pub(crate) fn job_refused(&mut self) {
        self.jobs = self.jobs.saturating_sub(1);
    }

    /// The oldest submission, for the worker that has begun a job.
    pub(crate) fn begin(&mut self) -> Option<Deferred> {
        self.jobs = self.jobs.saturating_sub(1);
        self.waiting.pop_front()
    }

    /// Takes a submission back, unless a worker has begun it.
    pub(crate) fn take_back(&mut self, id: DeferredId) -> Option<Deferred> {
        let at = self.waiting.binary_search_by_key(&id, |waiting| waiting.id);
        self.waiting.remove(at.ok()?)
    }

    /// Removes everything: this is a child process, whose pool has none of the jobs.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.jobs = 0;
    }
}

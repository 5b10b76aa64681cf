// SPDX-License-Identifier: LGPL-2.0-or-later

//! Submissions that may have to wait for the device, made by workers.
//!
//! A path that is freed takes its submission back if no worker has begun it, and leaves an orphan otherwise.
//! The worker reads from a duplicate of the path's descriptor, so it cannot read from another file that has
//! the number by then.

use crate::groups::{self, groups};
use crate::kernel::{Submission, duplicate};
use crate::place::Place;
use crate::queue::Deferred;
use checkers_core::memory::OutOfMemory;
use checkers_core::pool::{Job, NoWorker, POOL};
use checkers_core::sync::{Condvar, broken};
use checkers_core::{Monotonic, SlotCache};
use kernel_fd::Errno;
use std::os::fd::{AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

checkers_core::process_static! {
    /// The jobs that are not in the pool.
    static JOBS: SlotCache<Worker> = SlotCache::new(&POOL);
}

/// A job of the pool: makes the deferred submission that has waited longest.
pub(crate) struct Worker;

/// The jobs that are not in the pool, for a host that forks.
pub(crate) fn jobs() -> &'static SlotCache<Worker> {
    &JOBS
}

/// Leaves the submission of the read in `place` to a worker.
///
/// # Errors
/// `EMFILE` without a descriptor for the duplicate, `EBADF`, `ENOMEM`, `EAGAIN` when there is no thread,
/// and what the context returns. Nothing is in flight then.
pub(crate) fn defer(place: Place, fd: RawFd, now: Monotonic) -> Result<(), Errno> {
    queue(place, fd, now)?;
    submit_jobs_for(place, |job| POOL.submit(job))
}

/// Submits the jobs that are missing since the submission of `place` was queued, or takes that back.
fn submit_jobs_for(
    place: Place,
    mut submit: impl FnMut(&'static Worker) -> Result<(), NoWorker>,
) -> Result<(), Errno> {
    let submitted = submit_jobs(&mut submit);
    if submitted.is_ok() {
        return Ok(());
    }
    // Closed without the lock.
    let taken_back = groups().take_back(place);
    if taken_back.is_some() {
        return submitted;
    }
    // A worker has taken this submission with the job that was queued for another path, so that path's
    // submission has no job now. Submit one for it. If that fails too, the next deferred submission submits
    // it, or the path is UNCHECKED when its time limit ends.
    if !broken("a submission whose job has made another gets none") {
        let _ = submit_jobs(&mut submit);
    }
    Ok(())
}

fn queue(place: Place, fd: RawFd, now: Monotonic) -> Result<(), Errno> {
    let file = duplicate(fd)?;
    groups().reserve()?;
    groups::begin(place, false, now, |groups, submission| {
        // Another path may have taken the room.
        if let Err(errno) = groups.reserve() {
            if let Some(group) = groups.of(place) {
                group.settle_withdrawn(place.index, submission.withdraw());
            }
            return Err(errno);
        }
        groups.defer(place, submission, file);
        Ok(())
    })
}

/// Submits jobs until the pool has one for every deferred submission.
fn submit_jobs(
    submit: &mut impl FnMut(&'static Worker) -> Result<(), NoWorker>,
) -> Result<(), Errno> {
    loop {
        let wanted = groups().queue().wants_job();
        if !wanted {
            return Ok(());
        }
        if let Err(errno) = submit_job(submit) {
            groups().queue().job_refused();
            return Err(errno);
        }
    }
}

fn submit_job(
    submit: &mut impl FnMut(&'static Worker) -> Result<(), NoWorker>,
) -> Result<(), Errno> {
    let job = JOBS
        .take(|_| Worker)
        .map_err(|OutOfMemory| Errno(libc::ENOMEM))?;
    submit(job).map_err(|NoWorker| {
        JOBS.put_back(job);
        Errno(libc::EAGAIN)
    })
}

impl Job for Worker {
    fn run(&'static self) -> Option<&'static Condvar> {
        make_one(|| ());
        JOBS.put_back(self);
        None
    }
}

/// Makes the oldest deferred submission; `before` is called when it has been taken.
fn make_one(before: impl FnOnce()) {
    let begun = groups().queue().begin();
    let Some(Deferred {
        id,
        place,
        submission,
        file,
    }) = begun
    else {
        return;
    };
    let (mut submission, mut submitted) = (Some(submission), None);
    // If anything panics, the slot must not stay taken.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        before();
        let made = submission
            .take()
            .map(|begun| begun.submit(file.as_raw_fd()));
        submitted = made;
    }));
    if let Some(submitted) = submitted.or_else(|| submission.map(Submission::withdraw)) {
        groups().settle_deferred(place, id, submitted);
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;

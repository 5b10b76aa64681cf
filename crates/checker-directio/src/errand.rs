//! Submissions that may have to wait for the device, made by workers.
//!
//! An errand belongs to the path *and* to the worker, so either may go first: a path that is freed
//! takes its submission back, or else leaves an orphan behind.

use crate::groups::{Place, groups};
use crate::waiting;
use checkers_core::memory::OutOfMemory;
use checkers_core::pool::{Job, NoWorker, POOL};
use checkers_core::sync::lock;
use checkers_core::{Monotonic, Shelf};
use kernel_fd::Errno;
use libaio_sys::Submission;
use std::os::fd::RawFd;
use std::sync::{Condvar, Mutex};

static SHELF: Shelf<Errand> = Shelf::new();

/// One submission for a worker to make. Two are equal when they are the same one.
pub(crate) struct Errand(Mutex<Option<Order>>);

struct Order {
    submission: Submission,
    place: Place,
    fd: RawFd,
}

/// Leaves the submission of the read in `place` to a worker.
///
/// # Errors
/// `ENOMEM`, `EAGAIN` when there is no thread, and what the context says. Nothing is under way then.
pub(crate) fn send(place: Place, fd: RawFd, now: Monotonic) -> Result<(), Errno> {
    let errand = SHELF
        .take(Errand::new)
        .map_err(|OutOfMemory| Errno(libc::ENOMEM))?;
    let sent = errand.order(place, fd, now).and_then(|()| {
        POOL.submit(errand).map_err(|NoWorker| {
            if let Some(group) = groups().of(place) {
                group.call_off(place.index());
            }
            Errno(libc::EAGAIN)
        })
    });
    if sent.is_err() {
        SHELF.put_back(errand);
    }
    sent
}

impl Errand {
    fn new() -> Errand {
        Errand(Mutex::new(None))
    }

    fn order(&'static self, place: Place, fd: RawFd, now: Monotonic) -> Result<(), Errno> {
        let mut groups = groups();
        let group = groups.of(place).ok_or(Errno(libc::EINVAL))?;
        let submission = group.send(place.index(), self, now)?;
        *lock(&self.0) = Some(Order {
            submission,
            place,
            fd,
        });
        Ok(())
    }

    /// Takes the submission back, unless a worker was faster.
    pub(crate) fn call_off(&self) -> Option<Submission> {
        lock(&self.0).take().map(|order| order.submission)
    }
}

impl Job for Errand {
    fn run(&'static self) -> Option<&'static Condvar> {
        // From here to the kernel there is nothing in between: once the path is gone, the
        // descriptor's number may be a stranger's.
        let order = lock(&self.0).take();
        let deserted = order.and_then(|order| {
            let submitted = order.submission.submit(order.fd);
            let deserted = groups().settle_sent(order.place, self, submitted);
            waiting::submitted();
            deserted
        });
        SHELF.put_back(self);
        if let Some(group) = deserted {
            group.into_context().drain_and_destroy();
        }
        None
    }
}

impl PartialEq for Errand {
    fn eq(&self, other: &Errand) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Errand {}

impl std::fmt::Debug for Errand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Errand({self:p})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::{Failure, Group, Stage};
    use std::fs::File;
    use std::os::fd::AsRawFd;

    const NO_FD: RawFd = -1;

    const NOW: Monotonic = Monotonic {
        seconds: 1,
        nanos: 0,
    };

    fn errand() -> &'static Errand {
        SHELF.take(Errand::new).unwrap()
    }

    fn place() -> Place {
        let place = groups().join().unwrap();
        groups()
            .of(place)
            .unwrap()
            .set_block_size(place.index(), 512);
        place
    }

    fn group() -> (Group, u16) {
        let mut group = Group::new().unwrap();
        let index = group.join().unwrap();
        group.set_block_size(index, 512);
        (group, index)
    }

    #[test]
    fn a_path_that_goes_first_takes_its_submission_back() {
        let (place, errand) = (place(), errand());
        errand.order(place, NO_FD, NOW).unwrap();
        assert_eq!(groups().stage(place), Stage::Submitting(errand));
        assert!(groups().leave(place).is_none());
        assert!(lock(&errand.0).is_none());
        assert!(!groups().of(place).unwrap().has_orphans());
        // The worker finds nothing to do, and whoever has the place now does not notice.
        let next = groups().join().unwrap();
        assert_eq!(next, place);
        errand.run();
        assert_eq!(groups().stage(next), Stage::Idle);
        groups().leave(next);
    }

    #[test]
    fn an_error_of_the_worker_is_found_at_the_next_look() {
        let (place, errand) = (place(), errand());
        errand.order(place, NO_FD, NOW).unwrap();
        errand.run();
        let failed = Stage::Failed(Failure::NotSubmitted(Errno(libc::EBADF)));
        assert_eq!(
            groups().of(place).unwrap().collect(place.index()),
            Some(failed)
        );
        assert_eq!(groups().stage(place), Stage::Idle);
        groups().leave(place);
    }

    #[test]
    fn a_path_that_goes_while_the_worker_submits_leaves_an_orphan() {
        let (mut group, index) = group();
        let errand = errand();
        let submission = group.send(index, errand, NOW).unwrap();
        group.leave(index);
        assert!(group.is_deserted() && group.has_orphans() && group.is_submitting());
        group.settle_sent(index, errand, submission.submit(NO_FD));
        assert!(!group.has_orphans() && !group.is_submitting());
        assert_eq!(group.holders(), 0);
    }

    #[test]
    fn an_answer_may_overtake_the_worker() {
        let (mut group, index) = group();
        let (slow, next) = (errand(), errand());
        // A buffered read completes before io_submit returns.
        let file = File::open("/proc/self/exe").unwrap();
        let submitted = group
            .send(index, slow, NOW)
            .unwrap()
            .submit(file.as_raw_fd());
        group.reap();
        assert_eq!(group.collect(index), Some(Stage::Read));
        let submission = group.send(index, next, NOW).unwrap();
        group.settle_sent(index, slow, submitted);
        assert_eq!(group.stage(index), Stage::Submitting(next));
        group.settle_sent(index, next, submission.submit(file.as_raw_fd()));
        assert_eq!(group.stage(index), Stage::InFlight);
        group.reap();
        assert_eq!(group.collect(index), Some(Stage::Read));
        assert!(group.into_context().destroy().is_ok());
    }
}

//! Submissions that may have to wait for the device, made by workers.
//!
//! A path that is freed takes its submission back if no worker has begun it, and leaves an orphan behind
//! otherwise. The worker reads from a duplicate of the path's descriptor, so it never gets to another file
//! that has the number by then.

use crate::groups::{self, groups};
use crate::place::Place;
use crate::queue::Deferred;
use crate::waiting;
use checkers_core::memory::OutOfMemory;
use checkers_core::pool::{Job, NoWorker, POOL};
use checkers_core::{Monotonic, SlotCache};
use kernel_fd::Errno;
use libaio_sys::Submission;
use std::os::fd::{AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Condvar;

/// The jobs that are not in the pool.
static JOBS: SlotCache<Worker> = SlotCache::new(&POOL);

/// A job of the pool: makes the deferred submission that has waited longest.
pub(crate) struct Worker;

/// For a host that forks.
pub(crate) fn jobs() -> &'static SlotCache<Worker> {
    &JOBS
}

/// Leaves the submission of the read in `place` to a worker.
///
/// # Errors
/// `EMFILE` without a descriptor for the duplicate, `EBADF`, `ENOMEM`, `EAGAIN` when there is no thread,
/// and what the context says. Nothing is in flight then.
pub(crate) fn defer(place: Place, fd: RawFd, now: Monotonic) -> Result<(), Errno> {
    queue(place, fd, now)?;
    submit_jobs_for(place, |job| POOL.submit(job))
}

/// Submits the jobs that are wanted since the submission of `place` was queued, or takes that back.
fn submit_jobs_for(
    place: Place,
    mut submit: impl FnMut(&'static Worker) -> Result<(), NoWorker>,
) -> Result<(), Errno> {
    let submitted = submit_jobs(&mut submit);
    if submitted.is_ok() {
        return Ok(());
    }
    // Closed without the lock.
    let called_off = groups().call_off(place);
    if called_off.is_some() {
        return submitted;
    }
    // The job of another path has taken it, and left that path's submission without one. If there is none
    // to be had now either, the next path that defers, or that path's time limit, sees to it.
    let _ = submit_jobs(&mut submit);
    Ok(())
}

fn queue(place: Place, fd: RawFd, now: Monotonic) -> Result<(), Errno> {
    let file = kernel_fd::duplicate(fd)?;
    groups().reserve()?;
    groups::begin(place, false, now, |groups, submission| {
        // Another path may have taken the room.
        if let Err(errno) = groups.reserve() {
            if let Some(group) = groups.of(place) {
                group.called_off(place.index, submission.withdraw());
            }
            return Err(errno);
        }
        groups.defer(place, submission, file);
        Ok(())
    })
}

/// Sees to it that the pool has a job for every deferred submission.
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
    // Should anything panic, the place must not stay taken.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        before();
        let made = submission
            .take()
            .map(|begun| begun.submit(file.as_raw_fd()));
        submitted = made;
    }));
    if let Some(submitted) = submitted.or_else(|| submission.map(Submission::withdraw)) {
        groups().settle_deferred(place, id, submitted);
        waiting::submitted();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::{Failure, GROUP_SIZE, Group, Stage};
    use crate::groups::tests::alone;
    use crate::groups::{join, leave};
    use crate::queue::Queue;
    use crate::waiting::Patience;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    const NOW: Monotonic = Monotonic {
        seconds: 1,
        nanos: 0,
    };

    fn file() -> File {
        File::open("/proc/self/exe").unwrap()
    }

    fn place() -> Place {
        let place = join().unwrap();
        groups().of(place).unwrap().set_block_size(place.index, 512);
        place
    }

    fn collect(place: Place) -> Option<Stage> {
        groups().of(place).unwrap().take(place.index)
    }

    fn is_deferred(place: Place) -> bool {
        matches!(groups().stage(place), Stage::Submitting(_))
    }

    #[test]
    fn a_path_that_goes_first_takes_its_submission_back() {
        let _alone = alone();
        let (place, file) = (place(), file());
        queue(place, file.as_raw_fd(), NOW).unwrap();
        assert!(is_deferred(place));
        assert!(leave(place).is_none());
        // The worker finds nothing to do, and the next path in the place is not affected.
        assert!(groups().queue().begin().is_none());
        let next = join().unwrap();
        assert_eq!(next, place);
        make_one(|| ());
        assert_eq!(groups().stage(next), Stage::Idle);
        leave(next);
    }

    #[test]
    fn an_error_of_the_worker_is_found_at_the_next_poll() {
        let _alone = alone();
        let place = place();
        // A directory does not take the read.
        let directory = File::open("/").unwrap();
        queue(place, directory.as_raw_fd(), NOW).unwrap();
        make_one(|| ());
        let failed = Stage::Failed(Failure::NotSubmitted(Errno(libc::EINVAL)));
        assert_eq!(collect(place), Some(failed));
        assert_eq!(groups().stage(place), Stage::Idle);
        leave(place);
    }

    #[test]
    fn a_panic_gives_the_place_back() {
        let _alone = alone();
        let (place, file) = (place(), file());
        queue(place, file.as_raw_fd(), NOW).unwrap();
        make_one(|| panic!("on purpose"));
        let failed = Stage::Failed(Failure::NotSubmitted(Errno(libc::ECANCELED)));
        assert_eq!(collect(place), Some(failed));
        queue(place, file.as_raw_fd(), NOW).unwrap();
        make_one(|| ());
        assert_eq!(collect(place), Some(Stage::Read));
        assert!(!groups().of(place).unwrap().is_submitting());
        leave(place);
    }

    #[test]
    fn the_oldest_is_made_first_and_one_job_suffices_for_one() {
        let _alone = alone();
        let file = file();
        let (one, two) = (place(), place());
        queue(one, file.as_raw_fd(), NOW).unwrap();
        assert!(groups().queue().wants_job());
        queue(two, file.as_raw_fd(), NOW).unwrap();
        assert!(groups().queue().wants_job());
        for _ in 0..3 {
            assert!(!groups().queue().wants_job());
            assert!(groups().call_off(one).is_some());
            assert!(groups().call_off(one).is_none());
            queue(one, file.as_raw_fd(), NOW).unwrap();
        }
        make_one(|| ());
        assert!(is_deferred(one) && !is_deferred(two), "queued anew");
        assert!(groups().call_off(two).is_none(), "begun");
        assert!(!groups().queue().wants_job());
        make_one(|| ());
        assert_eq!([one, two].map(collect), [Some(Stage::Read); 2]);
        leave(one);
        leave(two);
    }

    #[test]
    fn a_submission_whose_job_has_made_another_gets_one_of_its_own() {
        let _alone = alone();
        let file = file();
        let (one, two) = (place(), place());
        queue(one, file.as_raw_fd(), NOW).unwrap();
        let mut jobs = 0;
        let submitted = submit_jobs_for(one, |_| {
            jobs += 1;
            if jobs > 1 {
                return Ok(());
            }
            // Meanwhile the other path's job is accepted, begins, and finds the older submission.
            queue(two, file.as_raw_fd(), NOW).unwrap();
            assert!(groups().queue().wants_job());
            make_one(|| ());
            Err(NoWorker)
        });
        assert!(submitted.is_ok() && is_deferred(two));
        assert_eq!(jobs, 2);
        make_one(|| ());
        assert_eq!([one, two].map(collect), [Some(Stage::Read); 2]);
        leave(one);
        leave(two);
    }

    #[test]
    fn without_a_worker_the_submission_is_taken_back() {
        let _alone = alone();
        let (place, file) = (place(), file());
        for _ in 0..3 {
            queue(place, file.as_raw_fd(), NOW).unwrap();
            let refused = submit_jobs_for(place, |_| Err(NoWorker));
            assert_eq!(refused, Err(Errno(libc::EAGAIN)));
            assert_eq!(groups().stage(place), Stage::Idle);
            assert!(!groups().queue().wants_job());
        }
        leave(place);
    }

    #[test]
    fn a_path_that_goes_while_the_worker_submits_leaves_an_orphan() {
        let _alone = alone();
        let (place, file) = (place(), file());
        queue(place, file.as_raw_fd(), NOW).unwrap();
        make_one(|| {
            assert!(leave(place).is_none());
            let mut groups = groups();
            let group = groups.of(place).unwrap();
            assert!(group.has_orphans() && group.is_submitting());
        });
        let mut groups = groups();
        let group = groups.of(place).unwrap();
        assert!(!group.is_submitting());
        group.reap();
        assert!(!group.has_orphans());
    }

    #[test]
    fn a_group_of_orphans_goes_when_no_worker_submits_in_it_any_more() {
        let _alone = alone();
        let file = file();
        assert!(groups().add(Group::new().unwrap()).is_none());
        let places: Vec<_> = (0..GROUP_SIZE).map(|_| place()).collect();
        let (last, others) = places.split_last().unwrap();
        for place in others {
            let begun = groups::begin(*place, false, NOW, |_, submission| Ok(submission)).unwrap();
            let submitted = begun.submit(file.as_raw_fd());
            let group = &mut groups();
            let group = group.of(*place).unwrap();
            assert_eq!(group.settle(place.index, submitted), Ok(None));
        }
        queue(*last, file.as_raw_fd(), NOW).unwrap();
        make_one(|| {
            assert!(places.iter().all(|place| leave(*place).is_none()));
            assert!(groups().of(*last).unwrap().is_all_orphans());
        });
        assert!(groups().of(*last).is_some(), "left to the host's thread");
        let forsaken = groups().take_forsaken();
        drop(forsaken.unwrap().into_context());
        assert!(groups().of(*last).is_none());
    }

    #[test]
    fn a_path_that_goes_while_the_kernel_refuses_leaves_none() {
        let _alone = alone();
        let place = place();
        let directory = File::open("/").unwrap();
        queue(place, directory.as_raw_fd(), NOW).unwrap();
        make_one(|| drop(leave(place)));
        assert!(!groups().of(place).unwrap().has_orphans());
        assert_eq!(join().unwrap(), place);
        leave(place);
    }

    #[test]
    fn a_caller_that_waits_for_a_worker_is_woken_by_it() {
        let _alone = alone();
        let place = place();
        // A directory does not take the read, so no event comes.
        let directory = File::open("/").unwrap();
        queue(place, directory.as_raw_fd(), NOW).unwrap();
        let (done, result) = mpsc::channel();
        std::thread::spawn(move || {
            let mut patience = Patience::new(Duration::from_secs(3600), kernel_fd::monotonic);
            done.send(waiting::wait(place, &mut patience)).unwrap();
        });
        let give_up = Instant::now() + Duration::from_secs(20);
        while groups().waiting == 0 {
            assert!(Instant::now() < give_up, "it does not wait for the worker");
        }
        make_one(|| ());
        let failed = Stage::Failed(Failure::NotSubmitted(Errno(libc::EINVAL)));
        let result = result.recv_timeout(Duration::from_secs(20));
        assert_eq!(result, Ok(Some(failed)));
        leave(place);
    }

    #[test]
    fn the_number_of_a_path_that_is_gone_is_not_read_from() {
        let _alone = alone();
        let (place, path) = (place(), file());
        let number = path.as_raw_fd();
        queue(place, number, NOW).unwrap();
        let mut stranger = None;
        make_one(|| {
            leave(place);
            drop(path);
            stranger = Some(socket_with_number(number));
        });
        let mut stranger = stranger.unwrap();
        let mut message = [0; 7];
        stranger.read_exact(&mut message).unwrap();
        assert_eq!(&message, b"message");
        let mut groups = groups();
        groups.of(place).unwrap().reap();
        assert!(!groups.of(place).unwrap().has_orphans());
    }

    /// A socket with a message in it, by the descriptor `number`, which is about to be free.
    fn socket_with_number(number: RawFd) -> UnixStream {
        let give_up = Instant::now() + Duration::from_secs(20);
        let mut others = Vec::new();
        loop {
            let (one, other) = UnixStream::pair().unwrap();
            for (socket, mut end) in [(&one, &other), (&other, &one)] {
                end.write_all(b"message").unwrap();
                socket.set_nonblocking(true).unwrap();
            }
            // Which of the two gets the number depends on what other tests have open.
            if one.as_raw_fd() == number {
                return one;
            }
            if other.as_raw_fd() == number {
                return other;
            }
            others.push((one, other));
            if others.len() > 100 {
                others.clear();
            }
            assert!(Instant::now() < give_up, "another test has the number");
        }
    }

    #[test]
    fn a_result_may_overtake_the_worker() {
        let (mut group, file) = (Group::new().unwrap(), file());
        let index = group.join().unwrap();
        group.set_block_size(index, 512);
        let begin = |group: &mut Group, id| {
            let mut memory = None;
            loop {
                match group.begin(index, false, NOW, &mut memory) {
                    Ok(begun) => {
                        group.defer(index, id);
                        return begun.submission;
                    }
                    Err(crate::group::Lacking::Memory(lack)) => memory = Some(lack.map().unwrap()),
                    Err(crate::group::Lacking::Errno(errno)) => panic!("{errno}"),
                }
            }
        };
        let [slow, next] = ids();
        // A buffered read completes before io_submit returns.
        let submitted = begin(&mut group, slow).submit(file.as_raw_fd());
        group.reap();
        assert_eq!(group.collect(index), Some(Stage::Read));
        let submission = begin(&mut group, next);
        group.settle_deferred(index, slow, submitted);
        assert_eq!(group.stage(index), Stage::Submitting(next));
        group.settle_deferred(index, next, submission.submit(file.as_raw_fd()));
        assert_eq!(group.stage(index), Stage::InFlight);
        group.reap();
        assert_eq!(group.collect(index), Some(Stage::Read));
        assert!(group.into_context().destroy().is_ok());
    }

    /// Two ids of a queue of their own.
    fn ids() -> [crate::queue::Id; 2] {
        let mut queue = Queue::new();
        let mut context = libaio_sys::Context::new(2).unwrap();
        let nowhere = Place { group: 0, index: 0 };
        [1, 2].map(|token| {
            if let Some(lack) = context.missing(512).unwrap() {
                context.supply(lack.map().unwrap());
            }
            let submission = context.begin_read(512, token).unwrap();
            queue.reserve().unwrap();
            queue.push(nowhere, submission, file().into())
        })
    }
}

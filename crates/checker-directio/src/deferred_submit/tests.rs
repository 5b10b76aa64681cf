// SPDX-License-Identifier: LGPL-2.0-or-later

//! Deferred submissions, made on the thread of the test.

use super::*;
use crate::group::Group;
use crate::groups::tests::alone;
use crate::groups::{join, leave};
use crate::read::{DeferredId, Failure, Holder, Outcome, Read};
use crate::slots::GROUP_SIZE;
use crate::wait::{self, Patience};
use std::fs::File;
use std::io::{Read as _, Write as _};
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
    groups::set_block_size(place, 512);
    place
}

fn collect(place: Place) -> Option<Outcome> {
    groups().of(place).unwrap().poll(place.index)
}

fn is_deferred(place: Place) -> bool {
    matches!(groups().read(place), Read::Awaited(Holder::Worker(_)))
}

#[test]
fn a_path_that_is_freed_first_takes_its_submission_back() {
    let _alone = alone();
    let (place, file) = (place(), file());
    queue(place, file.as_raw_fd(), NOW).unwrap();
    assert!(is_deferred(place));
    leave(place);
    // The worker finds nothing to do, and the next path in the place is not affected.
    assert!(groups().queue().begin().is_none());
    let next = join().unwrap();
    assert_eq!(next, place);
    make_one(|| ());
    assert_eq!(groups().read(next), Read::Idle);
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
    let failed = Outcome::Failed(Failure::NotSubmitted(Errno(libc::EINVAL)));
    assert_eq!(collect(place), Some(failed));
    assert_eq!(groups().read(place), Read::Idle);
    leave(place);
}

#[test]
fn a_panic_leaves_the_slot_usable() {
    let _alone = alone();
    let (place, file) = (place(), file());
    queue(place, file.as_raw_fd(), NOW).unwrap();
    make_one(|| panic!("on purpose"));
    let failed = Outcome::Failed(Failure::NotSubmitted(Errno(libc::ECANCELED)));
    assert_eq!(collect(place), Some(failed));
    queue(place, file.as_raw_fd(), NOW).unwrap();
    make_one(|| ());
    assert_eq!(collect(place), Some(Outcome::Complete));
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
        assert!(groups().take_back(one).is_some());
        assert!(groups().take_back(one).is_none());
        queue(one, file.as_raw_fd(), NOW).unwrap();
    }
    make_one(|| ());
    assert!(is_deferred(one) && !is_deferred(two), "queued anew");
    assert!(groups().take_back(two).is_none(), "begun");
    assert!(!groups().queue().wants_job());
    make_one(|| ());
    assert_eq!([one, two].map(collect), [Some(Outcome::Complete); 2]);
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
    assert_eq!([one, two].map(collect), [Some(Outcome::Complete); 2]);
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
        assert_eq!(groups().read(place), Read::Idle);
        assert!(!groups().queue().wants_job());
    }
    leave(place);
}

#[test]
fn a_path_that_is_freed_while_the_worker_submits_leaves_an_orphan() {
    let _alone = alone();
    let (place, file) = (place(), file());
    queue(place, file.as_raw_fd(), NOW).unwrap();
    make_one(|| {
        leave(place);
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
fn a_group_of_orphans_is_removed_when_no_worker_submits_in_it_any_more() {
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
        assert_eq!(group.settle(place.index, false, submitted), Ok(None));
    }
    queue(*last, file.as_raw_fd(), NOW).unwrap();
    make_one(|| {
        places.iter().for_each(|place| leave(*place));
        assert!(groups().of(*last).unwrap().is_all_orphans());
    });
    assert!(groups().of(*last).is_some(), "left to a host's thread");
    let orphaned = groups().take_orphaned();
    drop(orphaned.unwrap().into_context());
    assert!(groups().of(*last).is_none());
}

#[test]
fn a_path_that_is_freed_while_the_kernel_refuses_leaves_none() {
    let _alone = alone();
    let place = place();
    let directory = File::open("/").unwrap();
    queue(place, directory.as_raw_fd(), NOW).unwrap();
    make_one(|| leave(place));
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
        done.send(wait::wait(place, &mut patience)).unwrap();
    });
    let give_up = Instant::now() + Duration::from_secs(20);
    while groups().waiting == 0 {
        assert!(Instant::now() < give_up, "no thread waits for the worker");
    }
    make_one(|| ());
    let failed = Outcome::Failed(Failure::NotSubmitted(Errno(libc::EINVAL)));
    let result = result.recv_timeout(Duration::from_secs(20));
    assert_eq!(result, Ok(Some(failed)));
    leave(place);
}

#[test]
fn the_number_of_a_freed_path_is_not_read_from() {
    let _alone = alone();
    let (place, path) = (place(), file());
    let number = path.as_raw_fd();
    queue(place, number, NOW).unwrap();
    let mut other = None;
    make_one(|| {
        leave(place);
        drop(path);
        other = Some(socket_with_number(number));
    });
    let mut other = other.unwrap();
    let mut message = [0; 7];
    other.read_exact(&mut message).unwrap();
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
                Err(crate::group::NotBegun::Missing(missing)) => {
                    memory = Some(missing.map().unwrap());
                }
                Err(crate::group::NotBegun::Errno(errno)) => panic!("{errno}"),
            }
        }
    };
    let [slow, next] = [1, 2].map(DeferredId);
    // A buffered read completes before io_submit returns.
    let submitted = begin(&mut group, slow).submit(file.as_raw_fd());
    group.reap();
    assert_eq!(group.collect(index), Some(Outcome::Complete));
    let submission = begin(&mut group, next);
    group.settle_deferred(index, slow, submitted);
    assert_eq!(group.read(index), Read::Awaited(Holder::Worker(next)));
    group.settle_deferred(index, next, submission.submit(file.as_raw_fd()));
    let kernel = Holder::Kernel { nowait: false };
    assert_eq!(group.read(index), Read::Awaited(kernel));
    group.reap();
    assert_eq!(group.collect(index), Some(Outcome::Complete));
    assert!(group.into_context().destroy().is_ok());
}

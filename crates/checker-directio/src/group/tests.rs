// SPDX-License-Identifier: LGPL-2.0-or-later

//! One group.

use super::*;

const NOW: Monotonic = Monotonic {
    seconds: 1,
    nanos: 0,
};

/// Begins a read at `now`.
fn begin(group: &mut Group, index: u16, now: Monotonic) -> Begun {
    group.set_block_size(index, 512);
    let mut memory = None;
    loop {
        match group.begin(index, false, now, &mut memory) {
            Ok(begun) => return begun,
            Err(NotBegun::Missing(missing)) => memory = Some(missing.map().unwrap()),
            Err(NotBegun::Errno(errno)) => panic!("{errno}"),
        }
    }
}

/// A read that has completed, since it is buffered, and has not been recorded.
fn read(group: &mut Group, index: u16) {
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    let submission = begin(group, index, NOW).submission;
    let submitted = submission.submit(std::os::fd::AsRawFd::as_raw_fd(&file));
    assert_eq!(group.settle(index, false, submitted), Ok(None));
}

#[test]
fn a_refused_submission_leaves_nothing_in_flight() {
    let mut group = Group::new().unwrap();
    let index = group.join().unwrap();
    let submitted = begin(&mut group, index, NOW).submission.submit(-1);
    let settled = group.settle(index, false, submitted);
    assert_eq!(settled, Err(Errno::EBADF));
    assert_eq!(group.read(index), Read::Idle);
    group.leave(index);
    assert_eq!((group.slots.taken(), group.has_orphans()), (0, false));
}

#[test]
fn the_events_of_a_sleeping_caller_are_left_to_it() {
    let mut group = Group::new().unwrap();
    let [early, late] = [(); 2].map(|()| group.join().unwrap());
    for reaps in [false, true] {
        read(&mut group, early);
        group.recover_buffers();
        let waiter = group.begin_wait().unwrap();
        assert!(group.begin_wait().is_none(), "one at a time");
        read(&mut group, late);
        if reaps {
            group.reap();
            let reads = [early, late].map(|index| group.read(index));
            let kernel = Holder::Kernel { nowait: false };
            assert_eq!(
                reads,
                [Read::Ended(Outcome::Complete), Read::Awaited(kernel)]
            );
        }
        let events = waiter.wait(Duration::ZERO).unwrap();
        assert_eq!(events.len(), 1, "still in the ring");
        group.accept(events);
        group.end_wait(waiter);
        let results = [early, late].map(|index| group.collect(index));
        assert_eq!(results, [Some(Outcome::Complete); 2]);
    }
}

#[test]
fn memory_that_is_not_needed_is_unmapped() {
    let mut group = Group::new().unwrap();
    let places = [(); 8].map(|()| group.join().unwrap());
    let end = |group: &mut Group, index, begun: Begun| {
        assert!(
            group
                .settle(index, false, begun.submission.withdraw())
                .is_err()
        );
        begun.unused.is_some()
    };
    let begun = places.map(|index| begin(&mut group, index, NOW));
    for (index, begun) in places.into_iter().zip(begun) {
        assert!(!end(&mut group, index, begun));
    }
    let [first, ..] = places;
    let unused = [2, 3, 4].map(|seconds| {
        let now = NOW.plus(Duration::from_secs(seconds));
        let begun = begin(&mut group, first, now);
        end(&mut group, first, begun)
    });
    assert_eq!(unused, [false, false, true], "after two seconds");
    for index in places {
        group.leave(index);
    }
    while group.take_unused().is_some() {}
    assert_eq!(group.context.mapped_blocks(), 0);
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Groups of the test's own.

use super::*;
use crate::slots::GROUP_SIZE;

/// For a test of the queue, or of waiting callers, which all tests share.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    lock(&ALONE)
}

fn groups_of_their_own() -> Groups {
    let mut groups = Groups::new();
    assert!(groups.add(Group::new().unwrap()).is_none());
    groups
}

/// Begins a read.
fn begin(groups: &mut Groups, place: Place) -> Submission {
    let group = groups.of(place).unwrap();
    group.set_block_size(place.index, 512);
    let (now, mut memory) = (Monotonic::default(), None);
    loop {
        match group.begin(place.index, false, now, &mut memory) {
            Ok(begun) => return begun.submission,
            Err(NotBegun::Missing(missing)) => memory = Some(missing.map().unwrap()),
            Err(NotBegun::Errno(errno)) => panic!("{errno}"),
        }
    }
}

#[test]
fn slots_of_orphans_whose_reads_have_ended_are_used_again() {
    let mut groups = groups_of_their_own();
    let places: Vec<_> = std::iter::from_fn(|| groups.join()).collect();
    assert_eq!(places.len(), GROUP_SIZE);
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    let (orphan, _) = places.split_first().unwrap();
    // A buffered read completes before io_submit returns.
    let submitted = begin(&mut groups, *orphan).submit(std::os::fd::AsRawFd::as_raw_fd(&file));
    let group = groups.of(*orphan).unwrap();
    assert_eq!(group.settle(orphan.index, false, submitted), Ok(None));
    assert!(groups.leave(*orphan).is_none());
    assert_eq!(groups.join(), Some(*orphan));
    assert_eq!(groups.join(), None);
}

#[test]
fn a_group_without_paths_stays_while_a_submission_is_out() {
    let mut groups = groups_of_their_own();
    let place = groups.join().unwrap();
    let submission = begin(&mut groups, place);
    assert!(groups.leave(place).is_none());
    assert!(groups.take_deserted().is_none());
    let group = groups.of(place).unwrap();
    assert!(
        group
            .settle(place.index, false, submission.withdraw())
            .is_err()
    );
    assert!(groups.take_deserted().is_some());
}

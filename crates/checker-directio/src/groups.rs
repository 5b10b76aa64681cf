//! All groups of the process: which one a new path joins, and when one goes.
//!
//! Whatever may take long is done without the lock on the groups: contexts are made and destroyed, memory
//! is mapped and unmapped, and reads are submitted.

use crate::destroy;
use crate::group::{Begun, Group, Lacking, NoGroup, Stage};
use crate::place::Place;
use crate::queue::{Deferred, Id, Queue};
use checkers_core::Monotonic;
use checkers_core::sync::lock;
use kernel_fd::Errno;
use kernel_fd::fork::Generation;
use libaio_sys::{Memory, Submission, Submitted};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard};

/// How often memory is mapped for one read. Once is enough unless others take it or the place for it.
const TRIES: usize = 16;

static GROUPS: Mutex<Groups> = Mutex::new(Groups {
    list: Vec::new(),
    next_id: 0,
    waiting: 0,
    queue: Queue::new(),
    process: None,
});

pub(crate) struct Groups {
    /// In the order of the ids, so the newest comes last.
    list: Vec<(u64, Group)>,
    next_id: u64,
    /// Callers that wait for another one to come back from the kernel, or for a worker.
    pub(crate) waiting: usize,
    queue: Queue,
    /// The process that the queue belongs to.
    process: Option<Generation>,
}

/// The groups, for as long as the guard lives. Nothing that can wait may be done with it.
pub(crate) fn groups() -> MutexGuard<'static, Groups> {
    lock(&GROUPS)
}

/// Gives a path a place in the newest group that has room, or in a new one.
pub(crate) fn join() -> Result<Place, NoGroup> {
    loop {
        let joined = groups().join();
        if let Some(place) = joined {
            return Ok(place);
        }
        destroy::promise()?;
        let added = Group::new().and_then(|group| {
            let refused = groups().add(group);
            refused.map_or(Ok(()), |_| Err(NoGroup::OutOfMemory))
        });
        added.inspect_err(|_| destroy::take_back())?;
    }
}

/// Gives a place up. A group that has only orphans, so that no path would ever poll it again, is taken away,
/// to be destroyed.
pub(crate) fn leave(place: Place) -> Option<Group> {
    // Closed without the lock.
    let called_off = groups().call_off(place);
    drop(called_off);
    let forsaken = groups().leave(place);
    unmap_unused(place);
    forsaken
}

/// Unmaps the memory that the group of a place does not need, a piece at a time.
fn unmap_unused(place: Place) {
    loop {
        let unused = groups().take_unused(place);
        if unused.is_none() {
            return;
        }
    }
}

/// Prepares a read of the first block for the request in `place`, and hands it to `then`, all in one
/// lock. With `nowait` the kernel may refuse it.
///
/// # Errors
/// `ENOMEM` without memory, what the context says, and the errors of `then`.
pub(crate) fn begin<T>(
    place: Place,
    nowait: bool,
    now: Monotonic,
    then: impl FnOnce(&mut Groups, Submission) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let mut memory: Option<Memory> = None;
    for _ in 0..TRIES {
        let mut groups = groups();
        let group = groups.of(place).ok_or(Errno(libc::EINVAL))?;
        match group.begin(place.index, nowait, now, &mut memory) {
            Ok(Begun { submission, unused }) => {
                let done = then(&mut groups, submission);
                drop(groups);
                if unused.is_some() {
                    drop(unused);
                    unmap_unused(place);
                }
                return done;
            }
            Err(Lacking::Memory(lack)) => {
                drop(groups);
                memory = Some(lack.map()?);
            }
            Err(Lacking::Errno(errno)) => return Err(errno),
        }
    }
    Err(Errno(libc::ENOMEM))
}

impl Groups {
    fn join(&mut self) -> Option<Place> {
        let here = |(_, group): &&mut (u64, Group)| group.is_here();
        for (id, group) in self.list.iter_mut().rev().filter(here) {
            if !group.has_room() && group.has_orphans() {
                group.reap();
            }
            if let Some(index) = group.join() {
                return Some(Place { group: *id, index });
            }
        }
        None
    }

    /// Takes a new group in; gives it back when there is no memory for it.
    pub(crate) fn add(&mut self, group: Group) -> Option<Group> {
        if self.list.try_reserve(1).is_err() {
            return Some(group);
        }
        self.list.push((self.next_id, group));
        self.next_id += 1;
        None
    }

    fn leave(&mut self, place: Place) -> Option<Group> {
        self.of(place)?.leave(place.index);
        self.take_forsaken()
    }

    fn take_unused(&mut self, place: Place) -> Option<Memory> {
        self.of(place)?.take_unused()
    }

    /// Makes room for a submission in the queue.
    pub(crate) fn reserve(&mut self) -> Result<(), Errno> {
        if !self.process.is_some_and(Generation::is_here) {
            self.queue.clear();
            self.process = Some(Generation::current()?);
        }
        let reserved = self.queue.reserve();
        reserved.map_err(|_| Errno(libc::ENOMEM))
    }

    /// Queues a submission for a worker. There is room for it.
    pub(crate) fn defer(&mut self, place: Place, submission: Submission, file: OwnedFd) {
        let id = self.queue.push(place, submission, file);
        if let Some(group) = self.of(place) {
            group.defer(place.index, id);
        }
    }

    /// The queue of deferred submissions.
    pub(crate) fn queue(&mut self) -> &mut Queue {
        &mut self.queue
    }

    /// Takes a deferred submission back that no worker has begun; the request is idle then. Gives the
    /// file, to be closed without the lock.
    pub(crate) fn call_off(&mut self, place: Place) -> Option<OwnedFd> {
        let Stage::Submitting(id) = self.stage(place) else {
            return None;
        };
        let Deferred {
            submission, file, ..
        } = self.queue.call_off(id)?;
        if let Some(group) = self.of(place) {
            group.called_off(place.index, submission.withdraw());
        }
        Some(file)
    }

    /// Settles a deferred submission. The group may have only orphans by now, and
    /// stays for [`Groups::take_forsaken`].
    pub(crate) fn settle_deferred(&mut self, place: Place, id: Id, submitted: Submitted) {
        if let Some(group) = self.of(place) {
            group.settle_deferred(place.index, id, submitted);
        }
    }

    /// Takes away a group that has only orphans, unless a submission in it is in flight.
    pub(crate) fn take_forsaken(&mut self) -> Option<Group> {
        let forsaken = |(_, group): &(u64, Group)| group.is_all_orphans() && !group.is_submitting();
        let at = self.list.iter().position(forsaken)?;
        Some(self.list.remove(at).1)
    }

    /// The group of a place. Groups with living paths, or with a submission in flight, are never taken
    /// away.
    pub(crate) fn of(&mut self, place: Place) -> Option<&mut Group> {
        let at = self.position(place).ok()?;
        self.list.get_mut(at).map(|(_, group)| group)
    }

    /// Takes away a group without a living path. One with a submission in flight stays for the next
    /// paths, unless it is a parent process's, where no submission ends.
    pub(crate) fn take_deserted(&mut self) -> Option<Group> {
        let goes = |(_, group): &(u64, Group)| {
            group.is_deserted() && !(group.is_submitting() && group.is_here())
        };
        let at = self.list.iter().position(goes)?;
        Some(self.list.remove(at).1)
    }

    /// Where the request in a place stands.
    pub(crate) fn stage(&mut self, place: Place) -> Stage {
        self.of(place)
            .map_or(Stage::Idle, |group| group.stage(place.index))
    }

    fn position(&self, place: Place) -> Result<usize, usize> {
        self.list.binary_search_by_key(&place.group, |(id, _)| *id)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::group::GROUP_SIZE;

    /// For a test of the queue, or of waiting callers, which all tests share.
    pub(crate) fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        lock(&ALONE)
    }

    fn groups_of_their_own() -> Groups {
        let mut groups = Groups {
            list: Vec::new(),
            next_id: 0,
            waiting: 0,
            queue: Queue::new(),
            process: None,
        };
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
                Err(Lacking::Memory(lack)) => memory = Some(lack.map().unwrap()),
                Err(Lacking::Errno(errno)) => panic!("{errno}"),
            }
        }
    }

    #[test]
    fn the_places_of_orphans_whose_reads_have_ended_are_taken_again() {
        let mut groups = groups_of_their_own();
        let places: Vec<_> = std::iter::from_fn(|| groups.join()).collect();
        assert_eq!(places.len(), GROUP_SIZE);
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let (orphan, _) = places.split_first().unwrap();
        // A buffered read completes before io_submit returns.
        let submitted = begin(&mut groups, *orphan).submit(std::os::fd::AsRawFd::as_raw_fd(&file));
        let group = groups.of(*orphan).unwrap();
        assert_eq!(group.settle(orphan.index, submitted), Ok(None));
        assert!(groups.leave(*orphan).is_none());
        assert_eq!(groups.join(), Some(*orphan));
        assert_eq!(groups.join(), None);
    }

    #[test]
    fn a_group_without_paths_stays_while_a_submission_is_in_flight() {
        let mut groups = groups_of_their_own();
        let place = groups.join().unwrap();
        let submission = begin(&mut groups, place);
        assert!(groups.leave(place).is_none());
        assert!(groups.take_deserted().is_none());
        let group = groups.of(place).unwrap();
        assert!(group.settle(place.index, submission.withdraw()).is_err());
        assert!(groups.take_deserted().is_some());
    }
}

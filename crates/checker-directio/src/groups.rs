// SPDX-License-Identifier: LGPL-2.0-or-later

//! All groups of the process: the one that a new path joins, and the end of those without paths.
//!
//! Whatever may take long is done without the lock on the groups: contexts are made and destroyed, memory
//! is mapped and unmapped, and reads are submitted.

use crate::destroy;
use crate::group::{Begun, Group, NoGroup, NotBegun};
use crate::kernel::{Memory, OwnedFd, Submission, Submitted};
use crate::place::Place;
use crate::queue::{Deferred, Queue};
use crate::read::{DeferredId, Holder, Read};
use checkers_core::Monotonic;
use checkers_core::memory::try_push;
use checkers_core::sync::{Condvar, Mutex, MutexGuard, broken, lock};
use kernel_fd::Errno;
use kernel_fd::fork::Generation;

/// How often memory is mapped for one read. Once is enough unless other reads take it or its place.
const TRIES: usize = 16;

checkers_core::process_static! {
    static GROUPS: Mutex<Groups> = Mutex::new(Groups::new());
}

checkers_core::process_static! {
    /// Signalled when a sleeping caller has returned from the kernel, or a worker has submitted a request,
    /// and another thread waits for that.
    pub(crate) static PROGRESS: Condvar = Condvar::new();
}

/// The groups, and what their paths share.
pub(crate) struct Groups {
    /// In the order of the ids, so the newest is the last.
    list: Vec<(u64, Group)>,
    next_id: u64,
    /// Threads that wait for [`PROGRESS`].
    pub(crate) waiting: usize,
    queue: Queue,
    /// The process that the queue belongs to.
    process: Option<Generation>,
}

/// Locks the groups. Nothing that can wait may be done while the guard exists.
pub(crate) fn groups() -> MutexGuard<'static, Groups> {
    lock(&GROUPS)
}

/// Finds a place for a path in the newest group that has room, or in a new one.
///
/// # Errors
/// When there is no memory for a group, or the kernel makes no context.
pub(crate) fn join() -> Result<Place, NoGroup> {
    loop {
        let joined = groups().join();
        if let Some(place) = joined {
            return Ok(place);
        }
        destroy::reserve()?;
        let added = Group::new().and_then(|group| {
            let refused = groups().add(group);
            refused.map_or(Ok(()), |_| Err(NoGroup::OutOfMemory))
        });
        added.inspect_err(|_| destroy::take_back())?;
    }
}

/// Ends the use of a place. A group that has only orphans then, so that no path would ever poll it again,
/// is destroyed; one of a parent process is forgotten.
pub(crate) fn leave(place: Place) {
    // Closed without the lock.
    let taken_back = groups().take_back(place);
    drop(taken_back);
    let orphaned = groups().leave(place);
    unmap_unused(place);
    if let Some(group) = orphaned {
        destroy::destroy(group.into_context());
    }
}

/// Unmaps the memory that the group of a place does not need, one mapping at a time.
fn unmap_unused(place: Place) {
    loop {
        let unused = groups().take_unused(place);
        if unused.is_none() {
            return;
        }
    }
}

/// Sets how many bytes the reads of a path have.
pub(crate) fn set_block_size(place: Place, block_size: u32) {
    if let Some(group) = groups().of(place) {
        group.set_block_size(place.index, block_size);
    }
}

/// Prepares a read of the first block for the path in `place`, and passes it to `then`, all under one
/// lock. With `nowait` the kernel may refuse it.
///
/// # Errors
/// `ENOMEM` without memory, what the context returns, and the errors of `then`.
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
            Err(NotBegun::Missing(missing)) => {
                drop(groups);
                memory = Some(missing.map()?);
            }
            Err(NotBegun::Errno(errno)) => return Err(errno),
        }
    }
    Err(Errno(libc::ENOMEM))
}

/// Destroys the groups that have had only orphans since a worker recorded the result of a submission: workers
/// destroy no group. Retries what could not be destroyed before.
pub(crate) fn destroy_orphaned() {
    destroy::retry();
    loop {
        let orphaned = groups().take_orphaned();
        let Some(group) = orphaned else {
            return;
        };
        destroy::destroy(group.into_context());
    }
}

/// Destroys all groups without paths and waits a moment until their quota is returned. Requests in flight
/// are not waited for.
pub(crate) fn destroy_deserted() {
    destroy::retry();
    let mut quotas = Vec::new();
    loop {
        let deserted = groups().take_deserted();
        let Some(group) = deserted else {
            break;
        };
        let context = group.into_context();
        let quota = context.quota();
        destroy::destroy(context);
        // Without memory for it, this quota is not waited for.
        let _ = try_push(&mut quotas, quota);
    }
    destroy::await_quota(quotas);
}

impl Groups {
    const fn new() -> Groups {
        Groups {
            list: Vec::new(),
            next_id: 0,
            waiting: 0,
            queue: Queue::new(),
            process: None,
        }
    }

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

    /// Adds a group; returns it when there is no memory for that.
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
        self.take_orphaned()
    }

    fn take_unused(&mut self, place: Place) -> Option<Memory> {
        self.of(place)?.take_unused()
    }

    /// Makes room for a submission in the queue.
    ///
    /// # Errors
    /// `ENOMEM`.
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

    /// Takes a deferred submission back that no worker has begun; the path has no read then. Returns the
    /// file, to be closed without the lock.
    pub(crate) fn take_back(&mut self, place: Place) -> Option<OwnedFd> {
        let Read::Awaited(Holder::Worker(id)) = self.read(place) else {
            return None;
        };
        let Deferred {
            submission, file, ..
        } = self.queue.take_back(id)?;
        if let Some(group) = self.of(place) {
            group.settle_withdrawn(place.index, submission.withdraw());
        }
        Some(file)
    }

    /// Records the result of a deferred submission and wakes the threads that wait for it. The group may
    /// have only orphans by now, and stays for [`destroy_orphaned`].
    pub(crate) fn settle_deferred(&mut self, place: Place, id: DeferredId, submitted: Submitted) {
        if let Some(group) = self.of(place) {
            group.settle_deferred(place.index, id, submitted);
        }
        if !broken("a settled submission wakes no thread") {
            self.wake_waiting();
        }
    }

    /// Signals [`PROGRESS`]. Without a waiting thread that would still be a system call.
    pub(crate) fn wake_waiting(&self) {
        if self.waiting > 0 {
            PROGRESS.notify_all();
        }
    }

    /// Removes a group that has only orphans, unless a submission in it is out.
    pub(crate) fn take_orphaned(&mut self) -> Option<Group> {
        let orphaned = |(_, group): &(u64, Group)| group.is_all_orphans() && !group.is_submitting();
        let at = self.list.iter().position(orphaned)?;
        Some(self.list.remove(at).1)
    }

    /// The group of a place. Groups with paths, or with a submission out, are never removed.
    pub(crate) fn of(&mut self, place: Place) -> Option<&mut Group> {
        let at = self.position(place).ok()?;
        self.list.get_mut(at).map(|(_, group)| group)
    }

    /// Removes a group without paths. One with a submission out stays for the next paths, unless it is a
    /// parent process's, where no submission ends.
    pub(crate) fn take_deserted(&mut self) -> Option<Group> {
        let needed = |group: &Group| {
            group.is_submitting()
                && group.is_here()
                && !broken("a group goes while a worker submits in it")
        };
        let deserted = |(_, group): &(u64, Group)| group.is_deserted() && !needed(group);
        let at = self.list.iter().position(deserted)?;
        Some(self.list.remove(at).1)
    }

    /// Where the read of a path stands.
    pub(crate) fn read(&mut self, place: Place) -> Read {
        self.of(place)
            .map_or(Read::Vacant, |group| group.read(place.index))
    }

    fn position(&self, place: Place) -> Result<usize, usize> {
        self.list.binary_search_by_key(&place.group, |(id, _)| *id)
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
pub(crate) mod tests;

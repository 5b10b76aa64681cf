// SPDX-License-Identifier: LGPL-2.0-or-later

//! One AIO context and the slots of the paths that share it.

use crate::kernel::{Completion, Context, Events, Memory, Missing, Submission, Submitted, Waiter};
use crate::read::{DeferredId, Holder, Outcome, Read, refusal};
use crate::slots::{GROUP_SIZE, Slots};
use checkers_core::Monotonic;
use checkers_core::memory::OutOfMemory;
use checkers_core::sync::broken;
use kernel_fd::{Errno, Strerror};
use std::time::Duration;

/// How long a buffer stays mapped that is not needed. The daemon starts checks in bursts, one a second;
/// each burst finds the buffers of the previous one.
const SHRINK_INTERVAL: Duration = Duration::from_secs(2);

/// An AIO context with the slots of its paths.
pub(crate) struct Group {
    context: Context,
    slots: Slots,
    /// Completions that are out of the ring, so that their buffers are free again, but have not been asked
    /// for by a poll. Has room for [`GROUP_SIZE`], the most that can be in flight.
    early: Vec<Completion>,
    /// Set while a synchronous caller sleeps in `io_getevents` for this group. Nothing else may take events
    /// from the ring then, or the caller could sleep on although its event has come.
    awaited: bool,
    /// When memory that is not needed was last marked as unused.
    shrunk: Monotonic,
}

/// A read that has been prepared.
pub(crate) struct Begun {
    pub(crate) submission: Submission,
    /// Memory that no read has needed for a while, to be unmapped without the lock on the groups.
    pub(crate) unused: Option<Memory>,
}

/// Why a read cannot be prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotBegun {
    /// Memory is missing, which the caller is to map.
    Missing(Missing),
    /// The context refuses.
    Errno(Errno),
}

impl From<Errno> for NotBegun {
    fn from(errno: Errno) -> Self {
        NotBegun::Errno(errno)
    }
}

/// Why there is no group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoGroup {
    OutOfMemory,
    Os(Errno),
}

impl From<OutOfMemory> for NoGroup {
    fn from(_: OutOfMemory) -> Self {
        NoGroup::OutOfMemory
    }
}

impl Group {
    /// A group without paths.
    pub(crate) fn new() -> Result<Group, NoGroup> {
        let slots = Slots::new()?;
        let mut early = Vec::new();
        early
            .try_reserve_exact(GROUP_SIZE)
            .map_err(|_| OutOfMemory)?;
        let context = Context::new(GROUP_SIZE as u16).map_err(NoGroup::Os)?;
        Ok(Group {
            context,
            slots,
            early,
            awaited: false,
            shrunk: Monotonic::default(),
        })
    }

    /// Whether a path can join.
    pub(crate) fn has_room(&self) -> bool {
        self.slots.taken() < GROUP_SIZE
    }

    /// Whether the group belongs to this process, and not to one of which this is a child.
    pub(crate) fn is_here(&self) -> bool {
        self.context.is_here()
    }

    /// Whether the read of a freed path is in flight.
    pub(crate) fn has_orphans(&self) -> bool {
        self.slots.orphans() > 0
    }

    /// Whether no path uses the group.
    pub(crate) fn is_deserted(&self) -> bool {
        self.slots.taken() == self.slots.orphans()
    }

    /// Whether every slot has an orphan, so that no path will ever poll the group again.
    pub(crate) fn is_all_orphans(&self) -> bool {
        self.slots.orphans() >= GROUP_SIZE
    }

    /// Whether a submission is out, which needs the context.
    pub(crate) fn is_submitting(&self) -> bool {
        self.context.submissions() > 0
    }

    /// Takes a slot, if there is room for one more path.
    pub(crate) fn join(&mut self) -> Option<u16> {
        self.slots.take()
    }

    /// Sets how many bytes the reads of a path have.
    pub(crate) fn set_block_size(&mut self, index: u16, block_size: u32) {
        self.slots.set_block_size(index, block_size);
    }

    /// Ends the use of a slot. A read that the kernel has, or a worker is to submit, becomes an orphan.
    pub(crate) fn leave(&mut self, index: u16) {
        self.slots.leave(index);
        if self.is_deserted() {
            self.context.trim();
        }
    }

    /// Removes memory that is not needed, to be unmapped without the lock on the groups.
    pub(crate) fn take_unused(&mut self) -> Option<Memory> {
        self.context.take_unused()
    }

    /// Where the read of a slot stands.
    pub(crate) fn read(&self, index: u16) -> Read {
        self.slots.read(index)
    }

    /// Prepares a read of the first block, to be submitted without the lock on the groups: unless
    /// it is to be `nowait`, the kernel may block there. The read is the kernel's from here on, since its
    /// completion may be recorded before [`Group::settle`]. Takes `memory` if that is missing.
    pub(crate) fn begin(
        &mut self,
        index: u16,
        nowait: bool,
        now: Monotonic,
        memory: &mut Option<Memory>,
    ) -> Result<Begun, NotBegun> {
        if self.shrunk.until(now) >= SHRINK_INTERVAL {
            self.context.shrink();
            self.shrunk = now;
        }
        let block_size = self.slots.block_size(index).ok_or(Errno(libc::EINVAL))?;
        let length = block_size as usize;
        if !self.context.is_ready(length) {
            self.recover_buffers();
            if let Some(mapped) = memory.take() {
                *memory = self.context.supply(mapped);
            }
            if let Some(missing) = self.context.missing(length)? {
                return Err(NotBegun::Missing(missing));
            }
        }
        let submission = self.context.begin_read(length, u64::from(index))?;
        self.slots.hand_over(index, Holder::Kernel { nowait });
        Ok(Begun {
            submission,
            unused: self.context.take_unused(),
        })
    }

    /// Records the result of a submission on the path's own thread. `Ok(Some(errno))`: refused under
    /// `RWF_NOWAIT`, and idle again. Files fail `io_submit` itself; block devices post a completion before it
    /// returns. (If another completion is newer by now, the next poll finds the refusal.)
    pub(crate) fn settle(
        &mut self,
        index: u16,
        nowait: bool,
        submitted: Submitted,
    ) -> Result<Option<Errno>, Errno> {
        let settled = self.context.settle(submitted);
        let refused = match settled {
            Ok(()) if nowait => self.take_refusal(index),
            Err(errno) if nowait && errno.0 == libc::EOPNOTSUPP => Some(errno),
            _ => None,
        };
        if refused.is_some() || settled.is_err() {
            self.slots.set_idle(index);
        }
        match refused {
            Some(_) => Ok(refused),
            None => settled.map(|()| None),
        }
    }

    /// Takes the newest completion out of the ring if it refuses the read at `index`.
    fn take_refusal(&mut self, index: u16) -> Option<Errno> {
        let newest = self.context.newest()?;
        let refused = refusal(newest.res).filter(|_| newest.token == u64::from(index))?;
        self.recover_buffers();
        self.early
            .retain(|completion| completion.token != u64::from(index));
        Some(refused)
    }

    /// Leaves a read that has been prepared to a worker.
    pub(crate) fn defer(&mut self, index: u16, id: DeferredId) {
        self.slots.hand_over(index, Holder::Worker(id));
    }

    /// Records the result of a deferred submission.
    pub(crate) fn settle_deferred(&mut self, index: u16, id: DeferredId, submitted: Submitted) {
        let settled = self.context.settle(submitted);
        self.slots.settle_deferred(index, id, settled);
    }

    /// Records that a submission has been withdrawn, of which the kernel knows nothing.
    pub(crate) fn settle_withdrawn(&mut self, index: u16, withdrawn: Submitted) {
        let _ = self.context.settle(withdrawn);
        self.slots.set_idle(index);
    }

    /// Takes the result of a read that has ended, as far as is known.
    pub(crate) fn collect(&mut self, index: u16) -> Option<Outcome> {
        self.slots.collect(index)
    }

    /// Records what has completed by now, and takes the result of a read that has ended.
    pub(crate) fn poll(&mut self, index: u16) -> Option<Outcome> {
        // A result that is there is taken without reading the ring; those of other paths are left to the
        // polls of these paths.
        if self.read(index).is_awaited() {
            self.reap();
        }
        self.collect(index)
    }

    /// Takes completions out of the ring, so that their buffers can be used by the next reads. Makes no system
    /// call. The paths find their results at the next poll, as those of upstream do: a submission is no poll.
    fn recover_buffers(&mut self) {
        if !self.awaited {
            let Group { context, early, .. } = self;
            // An error is reported by the next poll, which meets it again.
            let _ = context.reap(|completion| early.push(completion));
        }
    }

    /// Records everything that has completed. Makes no system call.
    pub(crate) fn reap(&mut self) {
        self.record_early();
        if self.awaited && !broken("events are taken from a sleeping caller") {
            return;
        }
        let Group { context, slots, .. } = self;
        let reaped = context.reap(|completion| record(slots, completion));
        if let Err(errno) = reaped {
            log::trace!("directio: async io getevents returned {}", Strerror(errno));
        }
    }

    /// Records the events that a sleeping caller has brought.
    pub(crate) fn accept(&mut self, events: Events) {
        self.record_early();
        let Group { context, slots, .. } = self;
        context.accept(events, |completion| record(slots, completion));
    }

    fn record_early(&mut self) {
        let Group { slots, early, .. } = self;
        for completion in early.drain(..) {
            record(slots, completion);
        }
    }

    /// A handle to sleep with, unless another thread sleeps already.
    pub(crate) fn begin_wait(&mut self) -> Option<Waiter> {
        if self.awaited {
            return None;
        }
        self.awaited = true;
        Some(self.context.waiter())
    }

    /// Ends a wait that [`Group::begin_wait`] has begun.
    pub(crate) fn end_wait(&mut self, waiter: Waiter) {
        self.context.release(waiter);
        self.awaited = false;
    }

    /// The context alone, for destruction.
    pub(crate) fn into_context(self) -> Context {
        self.context
    }
}

/// Records a completion, whose token is the index of a slot.
fn record(slots: &mut Slots, completion: Completion) {
    let Completion { token, res, res2 } = completion;
    if let Ok(index) = u16::try_from(token) {
        slots.complete(index, res, res2);
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The slots of a group: one read for each path.

use crate::read::{DeferredId, Failure, Holder, Outcome, Read};
use checkers_core::memory::OutOfMemory;
use checkers_core::sync::broken;
use kernel_fd::Errno;

/// How many paths share an AIO context; also its number of events, which counts against
/// `fs.aio-max-nr`. Small in the model checker, so that its schedules have several groups.
pub(crate) const GROUP_SIZE: usize = if cfg!(shuttle) { 2 } else { 1024 };

#[derive(Clone, Copy, Debug)]
struct Slot {
    read: Read,
    block_size: u32,
}

/// Up to [`GROUP_SIZE`] slots. Their memory is reserved when the table is made.
pub(crate) struct Slots {
    list: Vec<Slot>,
    vacant: Vec<u16>,
    orphans: usize,
}

impl Slots {
    /// A table without slots.
    pub(crate) fn new() -> Result<Slots, OutOfMemory> {
        let mut slots = Slots {
            list: Vec::new(),
            vacant: Vec::new(),
            orphans: 0,
        };
        let Slots { list, vacant, .. } = &mut slots;
        list.try_reserve_exact(GROUP_SIZE)
            .map_err(|_| OutOfMemory)?;
        vacant
            .try_reserve_exact(GROUP_SIZE)
            .map_err(|_| OutOfMemory)?;
        Ok(slots)
    }

    /// How many slots are taken, those of orphans included.
    pub(crate) fn taken(&self) -> usize {
        self.list.len() - self.vacant.len()
    }

    /// How many slots have the read of a path that has been freed.
    pub(crate) fn orphans(&self) -> usize {
        self.orphans
    }

    /// Takes a slot; `None` when all are taken.
    pub(crate) fn take(&mut self) -> Option<u16> {
        let slot = Slot {
            read: Read::Idle,
            block_size: 0,
        };
        if let Some(index) = self.vacant.pop() {
            *self.list.get_mut(usize::from(index))? = slot;
            return Some(index);
        }
        let index = u16::try_from(self.list.len()).ok()?;
        if self.list.len() == self.list.capacity() {
            return None;
        }
        self.list.push(slot);
        Some(index)
    }

    /// Ends the use of a slot by its path. The slot stays taken while a worker or the kernel has the read.
    pub(crate) fn leave(&mut self, index: u16) {
        match self.read(index) {
            Read::Awaited(holder)
                if !broken("the slot of a freed path is used again too early") =>
            {
                self.set(index, Read::Orphaned(holder));
                self.orphans += 1;
            }
            Read::Awaited(_) | Read::Idle | Read::Ended(_) => self.vacate(index),
            Read::Vacant | Read::Orphaned(_) => {}
        }
    }

    /// Where the read of a slot stands.
    pub(crate) fn read(&self, index: u16) -> Read {
        self.list
            .get(usize::from(index))
            .map_or(Read::Vacant, |slot| slot.read)
    }

    /// How many bytes are read; `None` for a slot that is not taken.
    pub(crate) fn block_size(&self, index: u16) -> Option<u32> {
        let slot = self.list.get(usize::from(index))?;
        (slot.read != Read::Vacant).then_some(slot.block_size)
    }

    /// Sets how many bytes are read.
    pub(crate) fn set_block_size(&mut self, index: u16, block_size: u32) {
        if let Some(slot) = self.list.get_mut(usize::from(index)) {
            slot.block_size = block_size;
        }
    }

    /// The path's read is with `holder` from now on.
    pub(crate) fn hand_over(&mut self, index: u16, holder: Holder) {
        self.set(index, Read::Awaited(holder));
    }

    /// The path has no read any more.
    pub(crate) fn set_idle(&mut self, index: u16) {
        self.set(index, Read::Idle);
    }

    /// Records the result of a deferred submission. By now the result of the read may have been collected,
    /// and the slot may be another path's: then nothing changes.
    pub(crate) fn settle_deferred(
        &mut self,
        index: u16,
        id: DeferredId,
        settled: Result<(), Errno>,
    ) {
        let (worker, kernel) = (Holder::Worker(id), Holder::Kernel { nowait: false });
        match (self.read(index), settled) {
            (Read::Awaited(holder), Ok(())) if holder == worker => self.hand_over(index, kernel),
            (Read::Awaited(holder), Err(errno)) if holder == worker => {
                let failed = Outcome::Failed(Failure::NotSubmitted(errno));
                self.set(index, Read::Ended(failed));
            }
            (Read::Orphaned(holder), Ok(())) if holder == worker => {
                self.set(index, Read::Orphaned(kernel));
            }
            (Read::Orphaned(holder), Err(_)) if holder == worker => self.end_orphan(index),
            _ => {}
        }
    }

    /// Records a completion: `res` is the number of bytes, or a negative errno.
    pub(crate) fn complete(&mut self, index: u16, res: i64, res2: i64) {
        let read = self.read(index);
        let (Some(block_size), Read::Awaited(holder) | Read::Orphaned(holder)) =
            (self.block_size(index), read)
        else {
            return;
        };
        let nowait = holder == Holder::Kernel { nowait: true };
        let outcome = Outcome::new(res, block_size, nowait);
        if !matches!(outcome, Outcome::Refused(_)) {
            log::trace!("directio: io finished {}/{}", res as u64, res2 as u64);
        }
        if read.is_awaited() {
            self.set(index, Read::Ended(outcome));
        } else {
            self.end_orphan(index);
        }
    }

    /// Takes the result of a read that has ended.
    pub(crate) fn collect(&mut self, index: u16) -> Option<Outcome> {
        let Read::Ended(outcome) = self.read(index) else {
            return None;
        };
        self.set_idle(index);
        Some(outcome)
    }

    fn end_orphan(&mut self, index: u16) {
        self.orphans -= 1;
        self.vacate(index);
    }

    /// `vacant` has room for every index there is.
    fn vacate(&mut self, index: u16) {
        self.set(index, Read::Vacant);
        self.vacant.push(index);
    }

    fn set(&mut self, index: u16, read: Read) {
        if let Some(slot) = self.list.get_mut(usize::from(index)) {
            slot.read = read;
        }
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    const NONE: Errno = Errno(libc::ENOMEM);

    fn awaited(holder: Holder) -> (Slots, u16) {
        let mut slots = Slots::new().unwrap();
        let index = slots.take().unwrap();
        slots.set_block_size(index, 512);
        slots.hand_over(index, holder);
        (slots, index)
    }

    #[test]
    fn a_slot_is_taken_until_the_result_of_its_read_has_come() {
        let kernel = Holder::Kernel { nowait: true };
        let worker = Holder::Worker(DeferredId(1));
        for holder in [kernel, worker] {
            let (mut slots, index) = awaited(holder);
            slots.leave(index);
            assert_eq!(slots.read(index), Read::Orphaned(holder));
            assert_eq!((slots.taken(), slots.orphans()), (1, 1));
            assert_ne!(slots.take(), Some(index));
            // A second time changes nothing.
            slots.leave(index);
            assert_eq!(slots.orphans(), 1);
            match holder {
                Holder::Kernel { .. } => slots.complete(index, 512, 0),
                Holder::Worker(id) => slots.settle_deferred(index, id, Err(NONE)),
            }
            assert_eq!((slots.taken(), slots.orphans()), (1, 0));
            assert_eq!(slots.take(), Some(index));
        }
    }

    #[test]
    fn the_result_of_another_submission_changes_nothing() {
        let (mut slots, index) = awaited(Holder::Worker(DeferredId(2)));
        for settled in [Ok(()), Err(NONE)] {
            slots.settle_deferred(index, DeferredId(1), settled);
            let expected = Read::Awaited(Holder::Worker(DeferredId(2)));
            assert_eq!(slots.read(index), expected);
        }
        slots.settle_deferred(index, DeferredId(2), Err(NONE));
        let failed = Outcome::Failed(Failure::NotSubmitted(NONE));
        assert_eq!(slots.collect(index), Some(failed));
        assert_eq!(slots.collect(index), None);
        // A completion without a read, as an event that comes twice.
        slots.complete(index, 512, 0);
        assert_eq!(slots.read(index), Read::Idle);
        slots.leave(index);
        slots.complete(index, 512, 0);
        assert_eq!(slots.read(index), Read::Vacant);
    }

    #[test]
    fn there_are_as_many_slots_as_a_context_has_events() {
        let mut slots = Slots::new().unwrap();
        let taken: Vec<_> = std::iter::from_fn(|| slots.take()).collect();
        assert!(
            taken
                .iter()
                .map(|index| usize::from(*index))
                .eq(0..GROUP_SIZE)
        );
        slots.leave(7);
        assert_eq!((slots.take(), slots.take()), (Some(7), None));
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The memory of requests in flight: a block of 4096 bytes to read into for each, and its `iocb`.
//!
//! Two requests in flight never share a block. Block integrity and checksumming layers verify what is in
//! memory, and a late transfer of one request must not be taken for that of another.
//!
//! The `iocb` stays where it was submitted from until the completion has been taken: the event names its
//! address, and tools that follow system calls (valgrind) read it there.
//!
//! The block of a slot is at a fixed place. Blocks are mapped in chunks that grow with use (1, 1, 2, 4 … 64
//! blocks), each followed by the `iocb`s of its blocks. Mapping a block and unmapping it cost about half as
//! much as a read, so blocks stay mapped until [`Arena::shrink`] finds that they have not been needed for a
//! while. The lowest free slot is always taken first, so those are in the highest chunks. Mapping and
//! unmapping are left to the caller, which may hold a lock here.

#![forbid(unsafe_code)]

use crate::bindings::iocb;
use crate::mapping::{Block, Mapping};
use kernel_fd::Errno;

/// The size of a block in bytes.
pub(crate) const BLOCK: usize = 4096;

/// The number of blocks in the largest chunk. The chunks before the first one of this size hold as
/// many together.
const LARGEST: usize = 64;

#[derive(Debug, Default)]
struct Chunk {
    mapping: Option<Mapping>,
    used: usize,
}

/// Blocks by slot index.
#[derive(Debug)]
pub(crate) struct Arena {
    chunks: Vec<Chunk>,
    mapped: usize,
    used: usize,
    /// The most that were in use at one time since the last [`Arena::shrink`].
    needed: usize,
    /// The least number of blocks that stay mapped.
    kept: usize,
}

impl Arena {
    /// An arena for the slots 0 … `slots` - 1, with nothing mapped.
    ///
    /// # Errors
    /// `ENOMEM` without memory for the list of chunks.
    pub(crate) fn new(slots: usize) -> Result<Arena, Errno> {
        let count = slots.checked_sub(1).map_or(0, |last| place(last).chunk + 1);
        let mut chunks = Vec::new();
        chunks
            .try_reserve_exact(count)
            .map_err(|_| Errno(libc::ENOMEM))?;
        chunks.resize_with(count, Chunk::default);
        Ok(Arena {
            chunks,
            mapped: 0,
            used: 0,
            needed: 0,
            kept: 0,
        })
    }

    /// The memory of `slot`, which must be free; it is in use until [`Arena::release`].
    ///
    /// # Errors
    /// `ENOMEM` when the slot's chunk is not mapped, `EINVAL` when there is no such slot.
    pub(crate) fn acquire(&mut self, slot: usize) -> Result<Block, Errno> {
        let place = place(slot);
        let chunk = self
            .chunks
            .get_mut(place.chunk)
            .ok_or(Errno(libc::EINVAL))?;
        let mapping = chunk.mapping.as_ref().ok_or(Errno(libc::ENOMEM))?;
        let requests = blocks(place.chunk) * BLOCK;
        let block = mapping
            .block(
                place.block * BLOCK,
                requests + place.block * size_of::<iocb>(),
            )
            .ok_or(Errno(libc::EINVAL))?;
        chunk.used += 1;
        self.used += 1;
        self.needed = self.needed.max(self.used);
        self.kept = self.kept.max(self.used);
        Ok(block)
    }

    /// How many bytes have to be mapped before the block of `slot` can be used; `None` when it can.
    pub(crate) fn missing(&self, slot: usize) -> Option<usize> {
        let index = place(slot).chunk;
        let chunk = self.chunks.get(index)?;
        chunk.mapping.is_none().then(|| size(index))
    }

    /// Takes `mapping` for the chunk of `slot`; returns it when that chunk is mapped, or of another size.
    pub(crate) fn supply(&mut self, slot: usize, mapping: Mapping) -> Option<Mapping> {
        if self.missing(slot) != Some(mapping.length()) {
            return Some(mapping);
        }
        let index = place(slot).chunk;
        if let Some(chunk) = self.chunks.get_mut(index) {
            chunk.mapping = Some(mapping);
            self.mapped += blocks(index);
        }
        None
    }

    /// Ends the use of the block of `slot`. No request may point to it any more.
    pub(crate) fn release(&mut self, slot: usize) {
        if let Some(chunk) = self.chunks.get_mut(place(slot).chunk) {
            chunk.used = chunk.used.saturating_sub(1);
            self.used = self.used.saturating_sub(1);
        }
    }

    /// Marks as unused what has not been needed since the previous call.
    pub(crate) fn shrink(&mut self) {
        self.kept = self.needed;
        self.needed = self.used;
    }

    /// Marks as unused every chunk without a block in use.
    pub(crate) fn trim(&mut self) {
        self.kept = 0;
    }

    /// Removes the highest unused chunk and returns its memory; `None` when there is none.
    pub(crate) fn take_unused(&mut self) -> Option<Mapping> {
        if self.mapped <= self.kept {
            return None;
        }
        let empty = |chunk: &Chunk| chunk.used == 0 && chunk.mapping.is_some();
        let index = self.chunks.iter().rposition(empty)?;
        if self.mapped < self.kept + blocks(index) {
            return None;
        }
        self.mapped -= blocks(index);
        self.chunks.get_mut(index)?.mapping.take()
    }

    /// Unmaps every block. The kernel must not use any of them any more.
    pub(crate) fn unmap(&mut self) {
        for chunk in &mut self.chunks {
            chunk.mapping = None;
        }
        self.mapped = 0;
    }

    /// Leaves every mapped block to the kernel for good: none is unmapped or used again.
    pub(crate) fn leak(&mut self) {
        for chunk in &mut self.chunks {
            std::mem::forget(chunk.mapping.take());
        }
        self.mapped = 0;
    }

    /// How many blocks are mapped.
    pub(crate) fn mapped(&self) -> usize {
        self.mapped
    }
}

/// Where the block of a slot is.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    chunk: usize,
    block: usize,
}

/// The number of powers of two below [`LARGEST`], one chunk each, behind the chunk of slot 0.
const DOUBLINGS: usize = LARGEST.trailing_zeros() as usize;

/// The chunk and the position in it of `slot`: slot 0 is a chunk of its own, the slots from 2^k on
/// share one of 2^k, and from [`LARGEST`] on all chunks are that large.
fn place(slot: usize) -> Place {
    match slot.checked_ilog2() {
        None => Place { chunk: 0, block: 0 },
        Some(_) if slot >= LARGEST => Place {
            chunk: DOUBLINGS + slot / LARGEST,
            block: slot % LARGEST,
        },
        Some(log) => Place {
            chunk: log as usize + 1,
            block: slot - (1 << log),
        },
    }
}

/// How many blocks the chunk at `index` has.
fn blocks(index: usize) -> usize {
    match index.checked_sub(1) {
        None => 1,
        Some(doubling) => 1 << doubling.min(DOUBLINGS),
    }
}

/// How many bytes the chunk at `index` has.
fn size(index: usize) -> usize {
    blocks(index) * (BLOCK + size_of::<iocb>())
}

// The `iocb`s follow whole blocks, so they are aligned if a block is a multiple of their alignment.
const _: () = assert!(BLOCK % align_of::<iocb>() == 0);

#[cfg(test)]
mod tests {
    use super::*;

    /// The slots of an arena of the largest size, or of one that Miri manages.
    const SLOTS: usize = if cfg!(miri) { 256 } else { 1024 };

    impl Arena {
        /// [`Arena::acquire`] with what has to be mapped for it.
        fn obtain(&mut self, slot: usize) -> Result<Block, Errno> {
            if let Some(size) = self.missing(slot) {
                assert!(self.supply(slot, Mapping::new(size)?).is_none());
            }
            self.acquire(slot)
        }

        fn unmap_unused(&mut self) {
            while self.take_unused().is_some() {}
        }
    }

    #[test]
    fn chunks_follow_each_other_without_gap_or_overlap() {
        let sizes: Vec<_> = (0..12).map(blocks).collect();
        assert_eq!(sizes, [1, 1, 2, 4, 8, 16, 32, 64, 64, 64, 64, 64]);
        let mut expected =
            (0..).flat_map(|chunk| (0..blocks(chunk)).map(move |block| Place { chunk, block }));
        for slot in 0..if cfg!(miri) { 500 } else { 70_000 } {
            assert_eq!(Some(place(slot)), expected.next(), "slot {slot}");
        }
    }

    #[test]
    fn memory_grows_with_use() {
        let mut arena = Arena::new(SLOTS).unwrap();
        assert_eq!(arena.mapped(), 0);
        for (slot, mapped) in [(0, 1), (1, 2), (2, 4), (3, 4), (4, 8), (5, 8)] {
            arena.obtain(slot).unwrap();
            assert_eq!(arena.mapped(), mapped, "slot {slot}");
        }
        for slot in 6..SLOTS {
            arena.obtain(slot).unwrap();
        }
        assert_eq!(arena.mapped(), SLOTS);
        assert_eq!(arena.acquire(SLOTS), Err(Errno(libc::EINVAL)));
    }

    #[test]
    fn what_was_needed_since_the_last_time_stays_mapped() {
        let mut arena = Arena::new(SLOTS).unwrap();
        let burst = |arena: &mut Arena, size| {
            for slot in 0..size {
                arena.obtain(slot).unwrap();
            }
            for slot in 0..size {
                arena.release(slot);
            }
        };
        burst(&mut arena, SLOTS);
        arena.shrink();
        arena.unmap_unused();
        assert_eq!(arena.mapped(), SLOTS);
        burst(&mut arena, 70);
        assert_eq!(arena.mapped(), SLOTS);
        arena.shrink();
        arena.unmap_unused();
        assert_eq!(arena.mapped(), 2 * LARGEST, "the lowest, in whole chunks");
        burst(&mut arena, 3);
        arena.shrink();
        arena.unmap_unused();
        assert_eq!(arena.mapped(), 4);
        arena.shrink();
        arena.unmap_unused();
        assert_eq!(arena.mapped(), 0);
    }

    #[test]
    fn a_chunk_in_use_stays() {
        let mut arena = Arena::new(SLOTS).unwrap();
        arena.obtain(0).unwrap();
        arena.obtain(SLOTS - 1).unwrap();
        arena.release(0);
        arena.trim();
        arena.unmap_unused();
        assert_eq!(arena.mapped(), LARGEST);
    }

    #[test]
    fn a_hung_request_keeps_its_chunk_and_no_other() {
        let mut arena = Arena::new(SLOTS).unwrap();
        for slot in 0..SLOTS {
            arena.obtain(slot).unwrap();
        }
        for slot in (0..SLOTS).filter(|slot| *slot != SLOTS - 24) {
            arena.release(slot);
        }
        arena.shrink();
        arena.unmap_unused();
        arena.shrink();
        arena.unmap_unused();
        assert_eq!(arena.mapped(), LARGEST);
    }

    #[test]
    fn blocks_are_aligned_zeroed_and_apart() {
        let slots = if cfg!(miri) { 10 } else { 200 };
        let mut arena = Arena::new(slots).unwrap();
        for slot in 0..slots {
            let block = arena.obtain(slot).unwrap();
            assert_eq!(block.buffer.addr().get() % BLOCK, 0);
            // A block that overlapped an earlier one would not be zero any more.
            assert_eq!(block.bytes(BLOCK), [0; BLOCK], "slot {slot}");
            let zeroes = format!("{:?}", iocb::default());
            assert_eq!(format!("{:?}", block.iocb()), zeroes, "slot {slot}");
            block.fill(BLOCK, 0xff);
        }
    }

    #[test]
    fn what_is_needed_again_is_not_unused() {
        let mut arena = Arena::new(SLOTS).unwrap();
        for _ in 0..3 {
            arena.shrink();
            arena.unmap_unused();
        }
        for slot in 0..100 {
            arena.obtain(slot).unwrap();
        }
        (0..100).for_each(|slot| arena.release(slot));
        arena.unmap_unused();
        assert_eq!(arena.mapped(), 128, "whole chunks");
        let (other, slot) = (Mapping::new(BLOCK).unwrap(), 200);
        assert!(arena.supply(slot, other).is_some(), "too small");
        let other = Mapping::new(size(0)).unwrap();
        assert!(arena.supply(0, other).is_some(), "not missing");
        assert_eq!(arena.mapped(), 128);
    }

    #[test]
    fn coming_and_going_keeps_the_mapping() {
        let mut arena = Arena::new(SLOTS).unwrap();
        let first = arena.obtain(0).unwrap();
        for _ in 0..3 {
            arena.release(0);
            assert_eq!(arena.mapped(), 1);
            assert_eq!(arena.obtain(0), Ok(first));
        }
    }
}

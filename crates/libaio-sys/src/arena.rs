//! The buffers of a context: one block of 4096 bytes per request in flight.
//!
//! Two requests in flight never share a block. Block integrity and checksumming layers verify what
//! is in memory, and a late transfer of one request must not be taken for the other's.
//!
//! The block of a slot is at a fixed place. Blocks are mapped in chunks that grow with use (1, 1,
//! 2, 4 … 64 blocks), so that one path costs one page and a thousand cost a thousand. The lowest free
//! slot is always the next to be taken, so the lowest chunks stay mapped once they are, and higher
//! ones are unmapped when they stand empty.

use crate::mapping::Mapping;
use kernel_fd::Errno;
use std::ptr::NonNull;

/// The size of a block in bytes.
pub(crate) const BLOCK: usize = 4096;

/// The number of blocks in the largest chunk. The chunks before the first one of this size hold as
/// many together.
const LARGEST: usize = 64;

/// How many of the lowest blocks stay mapped, and how many besides must be free when a chunk is
/// unmapped: enough that checks which come and go do not map and unmap each time, and few beside the
/// thousand paths of a full context.
const KEPT: usize = 32;

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
}

impl Arena {
    /// An arena for the slots 0 … `slots` - 1; maps nothing yet.
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
        })
    }

    /// The block of `slot`, which must be free; it is in use until [`Arena::release`].
    pub(crate) fn acquire(&mut self, slot: usize) -> Result<NonNull<u8>, Errno> {
        let place = place(slot);
        let chunk = self
            .chunks
            .get_mut(place.chunk)
            .ok_or(Errno(libc::EINVAL))?;
        let mapping = match chunk.mapping.take() {
            Some(mapping) => mapping,
            None => {
                let mapping = Mapping::new(blocks(place.chunk) * BLOCK)?;
                self.mapped += blocks(place.chunk);
                mapping
            }
        };
        let block = chunk.mapping.insert(mapping).at(place.block * BLOCK);
        let block = block.ok_or(Errno(libc::EINVAL))?;
        chunk.used += 1;
        self.used += 1;
        Ok(block)
    }

    /// Gives the block of `slot` back. No request may point to it any more.
    pub(crate) fn release(&mut self, slot: usize) {
        let Some(chunk) = self.chunks.get_mut(place(slot).chunk) else {
            return;
        };
        chunk.used = chunk.used.saturating_sub(1);
        self.used = self.used.saturating_sub(1);
        if chunk.used == 0 {
            self.shrink();
        }
    }

    /// Unmaps empty chunks, the highest first, as long as enough blocks stay free.
    fn shrink(&mut self) {
        let lowest = place(KEPT).chunk;
        for (index, chunk) in self.chunks.iter_mut().enumerate().skip(lowest).rev() {
            let free = self.mapped - self.used;
            if chunk.used == 0 && chunk.mapping.is_some() && free >= blocks(index) + KEPT {
                chunk.mapping = None;
                self.mapped -= blocks(index);
            }
        }
    }

    /// Unmaps every chunk in which nothing is in use.
    pub(crate) fn trim(&mut self) {
        for (index, chunk) in self.chunks.iter_mut().enumerate() {
            if chunk.used == 0 && chunk.mapping.take().is_some() {
                self.mapped -= blocks(index);
            }
        }
    }

    /// Leaves every mapped block to the kernel for good.
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

/// Where a slot's block lies.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_follow_each_other_without_gap_or_overlap() {
        let sizes: Vec<_> = (0..12).map(blocks).collect();
        assert_eq!(sizes, [1, 1, 2, 4, 8, 16, 32, 64, 64, 64, 64, 64]);
        let mut expected =
            (0..).flat_map(|chunk| (0..blocks(chunk)).map(move |block| Place { chunk, block }));
        for slot in 0..70_000 {
            assert_eq!(Some(place(slot)), expected.next(), "slot {slot}");
        }
    }

    #[test]
    fn memory_grows_with_use() {
        let mut arena = Arena::new(1024).unwrap();
        assert_eq!(arena.mapped(), 0);
        for (slot, mapped) in [(0, 1), (1, 2), (2, 4), (3, 4), (4, 8), (5, 8)] {
            arena.acquire(slot).unwrap();
            assert_eq!(arena.mapped(), mapped, "slot {slot}");
        }
        for slot in 6..1024 {
            arena.acquire(slot).unwrap();
        }
        assert_eq!(arena.mapped(), 1024);
        assert_eq!(arena.acquire(1024), Err(Errno(libc::EINVAL)));
    }

    #[test]
    fn free_memory_goes_back_but_not_the_last_of_it() {
        let mut arena = Arena::new(1024).unwrap();
        for slot in 0..1024 {
            arena.acquire(slot).unwrap();
        }
        for slot in (512..1024).rev() {
            arena.release(slot);
        }
        // In chunks of 64, so that 32 free blocks are not enough to give up a further one.
        assert_eq!(arena.mapped(), 512 + LARGEST);
        for slot in 0..512 {
            arena.release(slot);
        }
        assert_eq!(arena.mapped(), KEPT);
        arena.acquire(0).unwrap();
        assert_eq!(arena.mapped(), KEPT, "the lowest blocks are the ones kept");
        arena.release(0);
        arena.trim();
        assert_eq!(arena.mapped(), 0);
        arena.acquire(1023).unwrap();
        arena.trim();
        assert_eq!(arena.mapped(), LARGEST, "a chunk in use stays");
    }

    #[test]
    fn a_hung_request_keeps_its_chunk_and_no_other() {
        let mut arena = Arena::new(1024).unwrap();
        for slot in 0..1024 {
            arena.acquire(slot).unwrap();
        }
        for slot in (0..1024).filter(|slot| *slot != 1000) {
            arena.release(slot);
        }
        assert_eq!(arena.mapped(), KEPT + LARGEST);
    }

    #[test]
    fn blocks_are_aligned_zeroed_and_apart() {
        let mut arena = Arena::new(200).unwrap();
        for slot in 0..200 {
            let block = arena.acquire(slot).unwrap();
            assert_eq!(block.addr().get() % BLOCK, 0);
            // SAFETY: the arena has just lent us the block, BLOCK mapped bytes.
            let block = unsafe { std::slice::from_raw_parts_mut(block.as_ptr(), BLOCK) };
            assert!(block.iter().all(|byte| *byte == 0), "slot {slot}");
            block.fill(0xff);
        }
    }

    #[test]
    fn coming_and_going_keeps_the_mapping() {
        let mut arena = Arena::new(1024).unwrap();
        let first = arena.acquire(0).unwrap();
        for _ in 0..3 {
            arena.release(0);
            assert_eq!(arena.mapped(), 1);
            assert_eq!(arena.acquire(0), Ok(first));
        }
    }
}

//! The buffers of a context: one block of 4096 bytes per request in flight.
//!
//! Two requests in flight never share a block. Block integrity and checksumming layers verify what
//! is in memory, and a late transfer of one request must not be taken for the other's.
//!
//! The block of a slot is at a fixed place. Blocks are mapped in chunks that grow with use (1, 1,
//! 2, 4 … 64 blocks), so that one path costs one page and a thousand cost a thousand. To map a
//! block and to unmap it costs about half as much as a read, so blocks stay mapped until the owner asks
//! for those to be unmapped that have not been needed for a while. The lowest free slot is always the
//! next to be taken, so those are in the highest chunks.

use crate::mapping::Mapping;
use kernel_fd::Errno;
use std::ptr::NonNull;

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
            needed: 0,
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
        self.needed = self.needed.max(self.used);
        Ok(block)
    }

    /// Whether the block of `slot` is mapped.
    pub(crate) fn is_mapped(&self, slot: usize) -> bool {
        let chunk = self.chunks.get(place(slot).chunk);
        chunk.is_some_and(|chunk| chunk.mapping.is_some())
    }

    /// Gives the block of `slot` back. No request may point to it any more.
    pub(crate) fn release(&mut self, slot: usize) {
        if let Some(chunk) = self.chunks.get_mut(place(slot).chunk) {
            chunk.used = chunk.used.saturating_sub(1);
            self.used = self.used.saturating_sub(1);
        }
    }

    /// Unmaps what has not been needed since the last time.
    pub(crate) fn shrink(&mut self) {
        self.keep(self.needed);
        self.needed = self.used;
    }

    /// Unmaps every chunk in which nothing is in use.
    pub(crate) fn trim(&mut self) {
        self.keep(0);
    }

    /// Unmaps empty chunks, the highest first, as long as `count` blocks stay mapped.
    fn keep(&mut self, count: usize) {
        let empty = |chunk: &Chunk| chunk.used == 0 && chunk.mapping.is_some();
        for (index, chunk) in self.chunks.iter_mut().enumerate().rev() {
            if empty(chunk) {
                if self.mapped < count + blocks(index) {
                    return;
                }
                chunk.mapping = None;
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
    fn what_was_needed_since_the_last_time_stays_mapped() {
        let mut arena = Arena::new(1024).unwrap();
        let burst = |arena: &mut Arena, size| {
            for slot in 0..size {
                arena.acquire(slot).unwrap();
            }
            for slot in 0..size {
                arena.release(slot);
            }
        };
        burst(&mut arena, 1024);
        arena.shrink();
        assert_eq!(arena.mapped(), 1024);
        burst(&mut arena, 70);
        assert_eq!(arena.mapped(), 1024);
        arena.shrink();
        assert_eq!(arena.mapped(), 2 * LARGEST, "the lowest, in whole chunks");
        burst(&mut arena, 3);
        arena.shrink();
        assert_eq!(arena.mapped(), 4);
        arena.shrink();
        assert_eq!(arena.mapped(), 0);
    }

    #[test]
    fn a_chunk_in_use_stays() {
        let mut arena = Arena::new(1024).unwrap();
        arena.acquire(0).unwrap();
        arena.acquire(1023).unwrap();
        arena.release(0);
        arena.trim();
        assert_eq!(arena.mapped(), LARGEST);
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
        arena.shrink();
        arena.shrink();
        assert_eq!(arena.mapped(), LARGEST);
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

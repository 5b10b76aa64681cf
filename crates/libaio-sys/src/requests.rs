//! The requests in flight and the memory each of them reads into.

use crate::Errno;
use crate::arena::{Arena, BLOCK};
use crate::mapping::Mapping;
use crate::slots::{Key, Slots};
use std::ptr::NonNull;

/// Slots with their buffers.
#[derive(Debug)]
pub(crate) struct Requests {
    slots: Slots,
    arena: Arena,
    large: Vec<Large>,
}

/// The buffer of a request that needs more than a block.
#[derive(Debug)]
struct Large {
    slot: usize,
    buffer: Mapping,
}

impl Requests {
    /// A table for `count` requests at a time, with all the memory for its bookkeeping.
    pub(crate) fn new(count: u16) -> Result<Requests, Errno> {
        Ok(Requests {
            slots: Slots::new(count)?,
            arena: Arena::new(usize::from(count))?,
            large: Vec::new(),
        })
    }

    /// Enters a request that the caller calls `token`, with `length` bytes of memory that are its
    /// own until [`Requests::finish`].
    ///
    /// # Errors
    /// `EAGAIN` when the table is full, `ENOMEM` when there is no memory. Nothing is entered then.
    pub(crate) fn begin(&mut self, token: u64, length: usize) -> Result<(Key, NonNull<u8>), Errno> {
        let key = self.slots.take(token).ok_or(Errno(libc::EAGAIN))?;
        let buffer = if length <= BLOCK {
            self.arena.acquire(key.index())
        } else {
            self.map(key.index(), length)
        };
        match buffer {
            Ok(buffer) => Ok((key, buffer)),
            Err(errno) => {
                self.slots.finish(key);
                Err(errno)
            }
        }
    }

    /// Whether [`Requests::begin`] would have to map memory, or finds the table full.
    pub(crate) fn is_short(&self, length: usize) -> bool {
        match self.slots.next() {
            Some(slot) if length <= BLOCK => !self.arena.is_mapped(slot),
            _ => true,
        }
    }

    /// What the caller calls the request with this key, if it is in flight.
    pub(crate) fn token(&self, key: Key) -> Option<u64> {
        self.slots.token(key)
    }

    fn map(&mut self, slot: usize, length: usize) -> Result<NonNull<u8>, Errno> {
        self.large.try_reserve(1).map_err(|_| Errno(libc::ENOMEM))?;
        let buffer = Mapping::new(length)?;
        let start = buffer.at(0).ok_or(Errno(libc::EINVAL))?;
        self.large.push(Large { slot, buffer });
        Ok(start)
    }

    /// Removes a request that the kernel has done with, or has not taken, and returns its token;
    /// `None` when no request with this key is in flight.
    pub(crate) fn finish(&mut self, key: Key) -> Option<u64> {
        let token = self.slots.finish(key)?;
        match self
            .large
            .iter()
            .position(|large| large.slot == key.index())
        {
            Some(position) => drop(self.large.swap_remove(position)),
            None => self.arena.release(key.index()),
        }
        Some(token)
    }

    /// How many requests are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.slots.taken()
    }

    /// How many blocks are mapped.
    pub(crate) fn mapped_blocks(&self) -> usize {
        self.arena.mapped()
    }

    /// Unmaps what no request has used since the last time.
    pub(crate) fn shrink(&mut self) {
        self.arena.shrink();
    }

    /// Unmaps what no request uses.
    pub(crate) fn trim(&mut self) {
        self.arena.trim();
    }

    /// Leaves all memory to the kernel for good: nobody will know when it has done with it.
    pub(crate) fn leak(&mut self) {
        self.arena.leak();
        for large in self.large.drain(..) {
            std::mem::forget(large.buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_request_has_memory_of_its_own() {
        let mut requests = Requests::new(3).unwrap();
        let (small, _) = requests.begin(1, 4096).unwrap();
        let (large, buffer) = requests.begin(2, 65_536).unwrap();
        assert_eq!(requests.mapped_blocks(), 1);
        // SAFETY: the table has just lent us these bytes.
        unsafe { std::slice::from_raw_parts_mut(buffer.as_ptr(), 65_536) }.fill(1);
        assert_eq!(requests.finish(large), Some(2));
        assert!(requests.large.is_empty());
        assert_eq!(requests.in_flight(), 1);
        assert_eq!(requests.finish(small), Some(1));
        assert_eq!(requests.finish(small), None);
    }

    #[test]
    fn a_refusal_enters_nothing() {
        let mut requests = Requests::new(1).unwrap();
        assert_eq!(requests.begin(1, usize::MAX), Err(Errno(libc::ENOMEM)));
        assert_eq!(requests.in_flight(), 0);
        let (key, _) = requests.begin(2, 512).unwrap();
        assert_eq!(requests.begin(3, 512), Err(Errno(libc::EAGAIN)));
        assert_eq!(requests.finish(key), Some(2));
    }
}

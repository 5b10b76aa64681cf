// SPDX-License-Identifier: LGPL-2.0-or-later

//! The requests in flight and the memory that each of them reads into.

#![forbid(unsafe_code)]

use crate::Errno;
use crate::arena::{Arena, BLOCK};
use crate::bindings::iocb;
use crate::mapping::{Block, Mapping};
use crate::slots::{Key, Slots};

/// Slots with their memory.
#[derive(Debug)]
pub(crate) struct Requests {
    slots: Slots,
    arena: Arena,
    large: Vec<Large>,
}

/// The memory of a request that needs more than a block. Kept for the next one of the same length.
#[derive(Debug)]
struct Large {
    /// The slot of the request that uses it.
    slot: Option<usize>,
    length: usize,
    memory: Mapping,
    /// A request has used it since the previous [`Requests::shrink`].
    needed: bool,
    /// To be unmapped unless a request uses it first.
    unused: bool,
}

impl Large {
    /// How many bytes have to be mapped for a buffer of `length` and the `iocb` behind it.
    fn size(length: usize) -> Option<usize> {
        let requests = length.checked_next_multiple_of(align_of::<iocb>())?;
        requests.checked_add(size_of::<iocb>())
    }

    fn block(&self) -> Option<Block> {
        let requests = self.length.checked_next_multiple_of(align_of::<iocb>())?;
        self.memory.block(0, requests)
    }

    fn is_free(&self, length: usize) -> bool {
        self.slot.is_none() && self.length == length
    }
}

impl Requests {
    /// A table for `count` requests at a time, with all the memory for its bookkeeping.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn new(count: u16) -> Result<Requests, Errno> {
        Ok(Requests {
            slots: Slots::new(count)?,
            arena: Arena::new(usize::from(count))?,
            large: Vec::new(),
        })
    }

    /// Enters a request under the caller's `token`. Returns its key, and memory for a read of `length` bytes
    /// that is the request's own until [`Requests::finish`].
    ///
    /// # Errors
    /// `EAGAIN` when the table is full, `ENOMEM` when the memory is not mapped (see
    /// [`Requests::missing`]). Nothing is entered then.
    pub(crate) fn begin(&mut self, token: u64, length: usize) -> Result<(Key, Block), Errno> {
        let key = self.slots.take(token).ok_or(Errno(libc::EAGAIN))?;
        let block = if length <= BLOCK {
            self.arena.acquire(key.index())
        } else {
            self.acquire_large(key.index(), length)
        };
        match block {
            Ok(block) => Ok((key, block)),
            Err(errno) => {
                self.slots.finish(key);
                Err(errno)
            }
        }
    }

    fn acquire_large(&mut self, slot: usize, length: usize) -> Result<Block, Errno> {
        let large = self.large.iter_mut().find(|large| large.is_free(length));
        let large = large.ok_or(Errno(libc::ENOMEM))?;
        let block = large.block().ok_or(Errno(libc::EINVAL))?;
        large.slot = Some(slot);
        (large.needed, large.unused) = (true, false);
        Ok(block)
    }

    /// Whether there is room and memory for a read of `length`.
    pub(crate) fn is_ready(&self, length: usize) -> bool {
        match self.slots.next() {
            None => false,
            Some(slot) if length <= BLOCK => self.arena.missing(slot).is_none(),
            Some(_) => self.large.iter().any(|large| large.is_free(length)),
        }
    }

    /// How many bytes have to be mapped before a read of `length` can begin; `None` when it can, or the
    /// table is full.
    ///
    /// # Errors
    /// `ENOMEM` when there cannot be so much memory.
    pub(crate) fn missing(&self, length: usize) -> Result<Option<usize>, Errno> {
        if length <= BLOCK {
            return Ok(self.slots.next().and_then(|slot| self.arena.missing(slot)));
        }
        if self.slots.next().is_none() || self.large.iter().any(|large| large.is_free(length)) {
            return Ok(None);
        }
        Large::size(length).map(Some).ok_or(Errno(libc::ENOMEM))
    }

    /// Takes a mapping that is missing for a read of `length`; returns it when it is not missing any more.
    pub(crate) fn supply(&mut self, length: usize, mapping: Mapping) -> Option<Mapping> {
        if self.missing(length) != Ok(Some(mapping.length())) {
            return Some(mapping);
        }
        if length <= BLOCK {
            return match self.slots.next() {
                Some(slot) => self.arena.supply(slot, mapping),
                None => Some(mapping),
            };
        }
        if self.large.try_reserve(1).is_err() {
            return Some(mapping);
        }
        self.large.push(Large {
            slot: None,
            length,
            memory: mapping,
            needed: false,
            unused: false,
        });
        None
    }

    /// The token of the request with this key, if it is in flight.
    pub(crate) fn token(&self, key: Key) -> Option<u64> {
        self.slots.token(key)
    }

    /// Removes a request that has completed, or that the kernel has not taken, and returns its token;
    /// `None` when no request with this key is in flight.
    pub(crate) fn finish(&mut self, key: Key) -> Option<u64> {
        let token = self.slots.finish(key)?;
        let slot = Some(key.index());
        match self.large.iter_mut().find(|large| large.slot == slot) {
            Some(large) => large.slot = None,
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

    /// Marks as unused the memory that no request has needed since the previous call.
    pub(crate) fn shrink(&mut self) {
        self.arena.shrink();
        for large in &mut self.large {
            large.unused = large.slot.is_none() && !large.needed;
            large.needed = large.slot.is_some();
        }
    }

    /// Marks as unused all memory without a request in flight.
    pub(crate) fn trim(&mut self) {
        self.arena.trim();
        for large in &mut self.large {
            large.unused = large.slot.is_none();
        }
    }

    /// Removes unused memory, one mapping per call.
    pub(crate) fn take_unused(&mut self) -> Option<Mapping> {
        match self.large.iter().position(|large| large.unused) {
            Some(index) => Some(self.large.swap_remove(index).memory),
            None => self.arena.take_unused(),
        }
    }

    /// Unmaps all memory. The kernel must have ended every request.
    pub(crate) fn unmap(&mut self) {
        self.arena.unmap();
        self.large.truncate(0);
    }

    /// Leaves all memory to the kernel for good: none is unmapped or used again.
    pub(crate) fn leak(&mut self) {
        self.arena.leak();
        for large in self.large.drain(..) {
            std::mem::forget(large.memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Requests {
        /// [`Requests::begin`] with what has to be mapped for it.
        fn enter(&mut self, token: u64, length: usize) -> Result<(Key, Block), Errno> {
            if let Some(size) = self.missing(length)? {
                assert!(self.supply(length, Mapping::new(size)?).is_none());
            }
            self.begin(token, length)
        }
    }

    #[test]
    fn a_large_request_has_memory_of_its_own() {
        let mut requests = Requests::new(3).unwrap();
        let (small, _) = requests.enter(1, 4096).unwrap();
        let (large, block) = requests.enter(2, 65_536).unwrap();
        assert_eq!(requests.mapped_blocks(), 1);
        block.fill(65_536, 1);
        let (other, apart) = requests.enter(3, 65_536).unwrap();
        assert_ne!(apart, block);
        assert_eq!(requests.finish(large), Some(2));
        assert_eq!(requests.in_flight(), 2);
        assert_eq!(requests.finish(small), Some(1));
        assert_eq!(requests.finish(small), None);
        // Kept for the next request of its length, and for no other.
        assert_eq!(requests.missing(65_536), Ok(None));
        assert!(matches!(requests.missing(32_768), Ok(Some(_))));
        let (large, again) = requests.begin(4, 65_536).unwrap();
        assert_eq!(again, block);
        assert_eq!(requests.finish(large), Some(4));
        assert_eq!(requests.finish(other), Some(3));
    }

    #[test]
    fn a_large_buffer_that_is_not_needed_becomes_unused() {
        let mut requests = Requests::new(3).unwrap();
        let (key, _) = requests.enter(1, 8192).unwrap();
        requests.shrink();
        requests.shrink();
        requests.trim();
        assert!(requests.take_unused().is_none(), "in flight");
        requests.finish(key);
        assert!(requests.take_unused().is_none());
        requests.shrink();
        assert!(requests.take_unused().is_none(), "needed until now");
        requests.shrink();
        assert!(requests.take_unused().is_some());
        assert!(requests.take_unused().is_none() && requests.large.is_empty());
    }

    #[test]
    fn a_refusal_enters_nothing() {
        let mut requests = Requests::new(1).unwrap();
        for length in [usize::MAX, usize::MAX - 7] {
            assert_eq!(requests.enter(1, length).unwrap_err(), Errno(libc::ENOMEM));
        }
        assert_eq!(requests.begin(1, 512).unwrap_err(), Errno(libc::ENOMEM));
        assert_eq!(requests.in_flight(), 0);
        let (key, _) = requests.enter(2, 512).unwrap();
        assert_eq!(requests.enter(3, 512).unwrap_err(), Errno(libc::EAGAIN));
        assert_eq!(requests.finish(key), Some(2));
    }

    /// Random operations on small tables, against a list of what is in flight.
    #[test]
    fn requests_in_flight_never_share_memory() {
        let (rounds, steps) = if cfg!(miri) { (3, 40) } else { (100, 200) };
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |limit: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % limit
        };
        for _ in 0..rounds {
            let count = 1 + below(9) as u16;
            let mut requests = Requests::new(count).unwrap();
            let mut in_flight: Vec<(u64, Key, Block, usize)> = Vec::new();
            for token in 0..steps {
                match below(8) {
                    0..4 => {
                        let length = [512, 4096, 8192][below(3) as usize];
                        let full = in_flight.len() == usize::from(count);
                        match requests.enter(token, length) {
                            Ok((key, block)) => {
                                assert!(!full);
                                block.fill(length, token as u8);
                                in_flight.push((token, key, block, length));
                            }
                            Err(errno) => assert!(full && errno == Errno(libc::EAGAIN)),
                        }
                    }
                    4..6 if !in_flight.is_empty() => {
                        let index = below(in_flight.len() as u64) as usize;
                        let (token, key, block, length) = in_flight.swap_remove(index);
                        // What the kernel wrote is what is there: nothing else uses the memory.
                        assert!(block.bytes(length) == vec![token as u8; length]);
                        assert_eq!(requests.token(key), Some(token));
                        assert_eq!(requests.finish(key), Some(token));
                        assert_eq!((requests.token(key), requests.finish(key)), (None, None));
                    }
                    6 => requests.shrink(),
                    _ => {
                        requests.trim();
                        while requests.take_unused().is_some() {}
                    }
                }
                assert_eq!(requests.in_flight(), in_flight.len());
            }
        }
    }
}

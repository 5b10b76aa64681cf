// SPDX-License-Identifier: LGPL-2.0-or-later

//! The numbers of requests, which pass through the kernel and come back with the event.
//!
//! A key names a slot and one use of it. An event whose key is not current (a duplicate, or one of unknown
//! origin) matches no request, so it cannot release a buffer that the kernel still writes to.

#![forbid(unsafe_code)]

use kernel_fd::Errno;

/// One use of one slot, as `aio_data` carries it: the index in the low 16 bits, above it the number
/// of the use, which starts at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) u64);

const INDEX_BITS: u32 = 16;

impl Key {
    /// The slot's index.
    pub(crate) fn index(self) -> usize {
        (self.0 & ((1 << INDEX_BITS) - 1)) as usize
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// [`FREE`] while no request has the slot.
    key: Key,
    token: u64,
}

/// Not the key of any use: those count from 1.
const FREE: Key = Key(0);

/// The table of the requests in flight.
#[derive(Debug)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    /// One bit per slot, set while it is free.
    free: Vec<u64>,
    uses: u64,
    taken: usize,
}

impl Slots {
    /// A table of `count` free slots, with all the memory that it needs.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn new(count: u16) -> Result<Slots, Errno> {
        let count = usize::from(count);
        let words = count.div_ceil(u64::BITS as usize);
        let (mut slots, mut free) = (Vec::new(), Vec::new());
        slots
            .try_reserve_exact(count)
            .map_err(|_| Errno(libc::ENOMEM))?;
        free.try_reserve_exact(words)
            .map_err(|_| Errno(libc::ENOMEM))?;
        slots.resize(
            count,
            Slot {
                key: FREE,
                token: 0,
            },
        );
        free.resize(words, u64::MAX);
        if let (Some(last), partial @ 1..) = (free.last_mut(), count % u64::BITS as usize) {
            *last = (1 << partial) - 1;
        }
        Ok(Slots {
            slots,
            free,
            uses: 0,
            taken: 0,
        })
    }

    /// The index of the lowest free slot.
    pub(crate) fn next(&self) -> Option<usize> {
        let (word, bits) = self.free.iter().enumerate().find(|(_, bits)| **bits != 0)?;
        Some(word * u64::BITS as usize + bits.trailing_zeros() as usize)
    }

    /// Takes the lowest free slot for the caller's `token`; `None` when all are taken.
    pub(crate) fn take(&mut self, token: u64) -> Option<Key> {
        let index = self.next()?;
        let slot = self.slots.get_mut(index)?;
        self.uses += 1;
        let key = Key(self.uses << INDEX_BITS | index as u64);
        *slot = Slot { key, token };
        *self.free.get_mut(index / u64::BITS as usize)? &= !(1 << (index % u64::BITS as usize));
        self.taken += 1;
        Some(key)
    }

    /// The token of the slot of `key`; `None` when `key` is not current.
    pub(crate) fn token(&self, key: Key) -> Option<u64> {
        let slot = self.slots.get(key.index())?;
        (slot.key == key && key != FREE).then_some(slot.token)
    }

    /// Frees the slot of `key` and returns its token; `None` when `key` is not current.
    pub(crate) fn finish(&mut self, key: Key) -> Option<u64> {
        let index = key.index();
        let slot = self
            .slots
            .get_mut(index)
            .filter(|slot| slot.key == key && key != FREE)?;
        slot.key = FREE;
        *self.free.get_mut(index / u64::BITS as usize)? |= 1 << (index % u64::BITS as usize);
        self.taken -= 1;
        Some(slot.token)
    }

    /// How many slots are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowest_first_and_no_more_than_there_are() {
        let large: &[u16] = if cfg!(miri) { &[] } else { &[1024, u16::MAX] };
        for count in [0, 1, 63, 64, 65].into_iter().chain(large.iter().copied()) {
            let mut slots = Slots::new(count).unwrap();
            let keys: Vec<_> = (0..count)
                .map(|n| slots.take(u64::from(n) * 7).unwrap())
                .collect();
            assert!(keys.iter().enumerate().all(|(n, key)| key.index() == n));
            assert_eq!(slots.take(0), None, "{count}");
            assert_eq!(slots.taken(), usize::from(count));
            for (n, key) in keys.iter().enumerate().rev() {
                assert_eq!(slots.finish(*key), Some(n as u64 * 7));
            }
            assert_eq!(slots.taken(), 0);
        }
    }

    #[test]
    fn a_key_works_once() {
        let mut slots = Slots::new(2).unwrap();
        let first = slots.take(1).unwrap();
        assert_eq!(slots.finish(first), Some(1));
        assert_eq!(slots.finish(first), None, "duplicate");
        let second = slots.take(2).unwrap();
        assert_eq!(second.index(), first.index());
        assert_eq!(slots.finish(first), None, "of an earlier use");
        for unknown in [0, 1, 2, u64::MAX] {
            assert_eq!(slots.finish(Key(unknown)), None);
        }
        assert_eq!(slots.finish(second), Some(2));
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The completion ring of a context.
//!
//! `io_setup` maps a ring buffer into the process, and the context's number is its address. The kernel
//! appends events at `tail`; the reader takes events at `head` and advances that. libaio reads the ring to
//! find it empty without a system call, and fio's libaio engine (`userspace_reap`) takes events from it, as
//! this module does.

use crate::bindings::{aio_context_t, io_event};
use crate::{Errno, calls};
use std::num::NonZeroU32;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// `struct aio_ring` of fs/aio.c: not in the exported headers, yet part of the kernel's interface since 2.5.
#[repr(C)]
#[derive(Debug)]
struct AioRing {
    /// The kernel's own number for the context.
    id: u32,
    /// How many events there is room for.
    nr: u32,
    /// The next event to take.
    head: AtomicU32,
    /// Where the kernel puts the next event.
    tail: AtomicU32,
    magic: u32,
    compat_features: u32,
    incompat_features: u32,
    /// The size of this structure; the events follow.
    header_length: u32,
}

const MAGIC: u32 = 0xa10a_10a1;
const COMPAT_FEATURES: u32 = 1;
const INCOMPAT_FEATURES: u32 = 0;

const _: () =
    assert!(size_of::<AioRing>() == 32 && size_of::<AioRing>() % align_of::<io_event>() == 0);

/// The kernel orders its store of an event before that of the tail (`smp_wmb` in `aio_complete`). With
/// acquire, every event below a tail that has been read is there to be read.
const READ_TAIL: Ordering = if cfg!(broken = "ring-tail") {
    Ordering::Relaxed
} else {
    Ordering::Acquire
};

/// The kernel reads the head before it gives the place of an event to a new request
/// (`user_refill_reqs_available`), whose completion may then overwrite the event. With release, the event has
/// been read by then.
const WRITE_HEAD: Ordering = if cfg!(broken = "ring-head") {
    Ordering::Relaxed
} else {
    Ordering::Release
};

/// A context of the kernel, with its ring.
#[derive(Debug)]
pub(crate) struct KernelContext {
    id: aio_context_t,
    ring: Option<Ring>,
}

impl KernelContext {
    /// `io_setup`.
    ///
    /// # Errors
    /// As [`calls::io_setup`].
    pub(crate) fn new(events: u16) -> Result<KernelContext, Errno> {
        let id = calls::io_setup(u32::from(events))?;
        // SAFETY: the number is fresh from io_setup. Only `destroy` destroys the context, and drops the ring
        // before.
        let ring = unsafe { Ring::of(id) };
        Ok(KernelContext { id, ring })
    }

    /// The number of the context.
    pub(crate) fn id(&self) -> aio_context_t {
        self.id
    }

    /// The ring; `None` when this kernel's is not understood, or the context has been destroyed. Completions
    /// have to be asked for then.
    pub(crate) fn ring(&self) -> Option<&Ring> {
        self.ring.as_ref()
    }

    /// As [`KernelContext::ring`].
    pub(crate) fn ring_mut(&mut self) -> Option<&mut Ring> {
        self.ring.as_mut()
    }

    /// `io_destroy`: waits until the last request has ended. Returns whether the kernel has destroyed the
    /// context, so that it does not use the memory of any request any more.
    pub(crate) fn destroy(&mut self) -> bool {
        self.ring = None;
        // SAFETY: the only ring that was made of this number has just been dropped.
        unsafe { calls::io_destroy(self.id) }.is_ok()
    }

    /// Makes the ring unreadable, as if the kernel's were not understood.
    #[cfg(test)]
    pub(crate) fn forget_ring(&mut self) {
        self.ring = None;
    }
}

/// The ring of one context.
#[derive(Debug)]
pub(crate) struct Ring {
    header: NonNull<AioRing>,
    room: NonZeroU32,
}

// SAFETY: the ring belongs to the process, not to a thread; taking events from it needs `&mut self`.
unsafe impl Send for Ring {}

impl Ring {
    /// The ring at the address `context`, or `None` when the memory there is not a ring that this code
    /// understands.
    ///
    /// # Safety
    /// `context` came from `io_setup` in this process, and is destroyed only when the ring is no longer used.
    /// A number that cannot be the address of a ring is not read from.
    unsafe fn of(context: aio_context_t) -> Option<Ring> {
        // The kernel maps the ring, so it starts on a page.
        let address = usize::try_from(context)
            .ok()
            .filter(|address| address % 4096 == 0)?;
        let header = NonNull::new(std::ptr::with_exposed_provenance_mut::<AioRing>(address))?;
        // SAFETY: a context's number is the address of its ring in every kernel that has AIO (aio_setup_ring
        // sets `user_id` to it); the caller guarantees that the number is one.
        unsafe { Ring::at(header) }
    }

    /// As [`Ring::of`], anywhere in memory.
    ///
    /// # Safety
    /// There is an `AioRing` at `header` for as long as the ring is used, and if its magic number is right,
    /// `nr` events behind it.
    unsafe fn at(header: NonNull<AioRing>) -> Option<Ring> {
        // SAFETY: guaranteed by the caller. Other threads and the kernel change only the two atomic fields.
        let ring = unsafe { header.as_ref() };
        let known = ring.magic == MAGIC
            && ring.compat_features & COMPAT_FEATURES == COMPAT_FEATURES
            && ring.incompat_features == INCOMPAT_FEATURES
            && ring.header_length as usize == size_of::<AioRing>();
        let room = NonZeroU32::new(ring.nr).filter(|_| known)?;
        Some(Ring { header, room })
    }

    /// Calls `each` with every event that is in the ring now, oldest first, and returns how many there were.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(io_event)) -> usize {
        let (mut head, tail) = self.bounds();
        let mut count = 0;
        while head != tail {
            // SAFETY: `head` has not reached the tail.
            each(unsafe { self.event(head) });
            count += 1;
            head = (head + 1) % self.room;
        }
        if count > 0 {
            self.indices().0.store(head, WRITE_HEAD);
        }
        count
    }

    /// The newest event, which stays in the ring; `None` when the ring is empty.
    pub(crate) fn newest(&self) -> Option<io_event> {
        let (head, tail) = self.bounds();
        let last = tail.checked_sub(1).unwrap_or(self.room.get() - 1);
        // SAFETY: the two differ, so the index before the tail is the head or follows it.
        (head != tail).then(|| unsafe { self.event(last) })
    }

    /// The index of the next event to take, and the one where the kernel puts the next event.
    fn bounds(&self) -> (u32, u32) {
        let (head, tail) = self.indices();
        let tail = tail.load(READ_TAIL) % self.room;
        (head.load(Ordering::Relaxed) % self.room, tail)
    }

    /// Head and tail.
    fn indices(&self) -> (&AtomicU32, &AtomicU32) {
        // SAFETY: the ring stays mapped for as long as this value is used (guaranteed to `at`), and what
        // changes in it are these two atomic fields.
        unsafe {
            let ring = self.header.as_ptr();
            (&(*ring).head, &(*ring).tail)
        }
    }

    /// The event at `index`.
    ///
    /// # Safety
    /// `index` is at or behind the head, and before the tail, of [`Ring::bounds`].
    // Never inlined: the suppressions of memcheck name it (compat-tests/robustness/valgrind.supp).
    #[inline(never)]
    unsafe fn event(&self, index: u32) -> io_event {
        // SAFETY: `index` is below `nr`, and that many events follow the header (guaranteed to `at`). The
        // kernel does not write to an event between head and tail until it has read a head beyond it.
        unsafe {
            let events = self.header.as_ptr().add(1).cast::<io_event>();
            events.add(index as usize).read()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring in ordinary memory.
    #[repr(C)]
    struct Fake {
        header: AioRing,
        events: [io_event; 4],
    }

    fn fake(head: u32, tail: u32) -> Box<Fake> {
        let mut events = [io_event::default(); 4];
        for (event, data) in events.iter_mut().zip(100..) {
            event.data = data;
        }
        let header = AioRing {
            id: 7,
            nr: 4,
            head: AtomicU32::new(head),
            tail: AtomicU32::new(tail),
            magic: MAGIC,
            compat_features: COMPAT_FEATURES,
            incompat_features: INCOMPAT_FEATURES,
            header_length: 32,
        };
        Box::new(Fake { header, events })
    }

    fn open(fake: &mut Fake) -> Option<Ring> {
        // SAFETY: there is a ring with four events; the tests keep it as long as they use it.
        unsafe { Ring::at(NonNull::from(fake).cast()) }
    }

    fn drained(fake: &mut Fake) -> Vec<u64> {
        let mut seen = Vec::new();
        let mut ring = open(fake).unwrap();
        let newest = ring.newest().map(|event| event.data);
        let count = ring.drain(|event| seen.push(event.data));
        assert_eq!(count, seen.len());
        assert_eq!(newest, seen.last().copied());
        assert!(ring.newest().is_none());
        seen
    }

    /// The kernel's side of a ring, on a thread of its own.
    struct Kernel(NonNull<Fake>);

    // SAFETY: the test keeps the ring until this thread has ended.
    unsafe impl Send for Kernel {}

    impl Kernel {
        /// Posts `count` events, numbered from 0, each as soon as the reader has made room for it.
        fn post(&self, count: u64) {
            let fake = self.0.as_ptr();
            // SAFETY: the header is shared, and only its atomic fields change.
            let header = unsafe { &(*fake).header };
            let mut tail = 0;
            for data in 0..count {
                let next = (tail + 1) % 4;
                while header.head.load(Ordering::Acquire) == next {
                    std::thread::yield_now();
                }
                // SAFETY: within the array; the reader does not read the event before it is announced.
                unsafe { (&raw mut (*fake).events[tail as usize].data).write(data) };
                header.tail.store(next, Ordering::Release);
                tail = next;
            }
        }
    }

    /// Under Miri, which reports a read of an event that is not ordered after its write, or the reverse.
    #[test]
    fn no_event_is_read_before_it_is_announced_or_overwritten_before_it_is_read() {
        const COUNT: u64 = if cfg!(miri) { 20 } else { 5_000 };
        let fake = NonNull::from(Box::leak(fake(0, 0)));
        // SAFETY: a ring with four events, freed at the end.
        let mut ring = unsafe { Ring::at(fake.cast()) }.unwrap();
        let kernel = Kernel(fake);
        let posting = std::thread::spawn(move || {
            let kernel = kernel;
            kernel.post(COUNT);
        });
        let mut expected = 0;
        while expected < COUNT {
            if let Some(newest) = ring.newest() {
                assert!(newest.data >= expected && newest.data < COUNT);
            }
            ring.drain(|event| {
                assert_eq!(event.data, expected);
                expected += 1;
            });
            std::thread::yield_now();
        }
        posting.join().unwrap();
        assert!(ring.newest().is_none());
        // SAFETY: neither the thread nor the ring uses it any more.
        drop(unsafe { Box::from_raw(fake.as_ptr()) });
    }

    #[test]
    fn empty_wrapped_and_full() {
        for (head, tail, expected) in [
            (0, 0, vec![]),
            (3, 3, vec![]),
            (0, 2, vec![100, 101]),
            (3, 1, vec![103, 100]),
            (2, 1, vec![102, 103, 100]),
        ] {
            let mut ring = fake(head, tail);
            assert_eq!(drained(&mut ring), expected, "head {head} tail {tail}");
            assert_eq!(ring.header.head.load(Ordering::Relaxed), tail);
            assert_eq!(drained(&mut ring), [], "taken twice");
        }
    }

    #[test]
    fn indices_out_of_bounds_never_leave_the_ring() {
        for (head, tail) in [(u32::MAX, 0), (0, u32::MAX), (17, 5), (4, 4)] {
            assert!(drained(&mut fake(head, tail)).len() < 4);
        }
    }

    #[test]
    fn a_ring_that_is_not_understood_is_not_used() {
        assert!(open(&mut fake(0, 0)).is_some());
        let spoil: [fn(&mut AioRing); 5] = [
            |ring| ring.magic = !MAGIC,
            |ring| ring.compat_features = 0,
            |ring| ring.incompat_features = 1,
            |ring| ring.header_length = 64,
            |ring| ring.nr = 0,
        ];
        for (case, spoil) in spoil.into_iter().enumerate() {
            let mut ring = fake(0, 2);
            spoil(&mut ring.header);
            assert!(open(&mut ring).is_none(), "case {case}");
        }
        let mut more = fake(0, 0);
        more.header.compat_features = 3;
        assert!(
            open(&mut more).is_some(),
            "a further compatible feature is no obstacle"
        );
    }

    #[test]
    fn a_number_that_is_not_the_address_of_a_page_is_not_read_from() {
        for number in [0, 1, 4095, 4097] {
            // SAFETY: none of these is read from, which is what is tested.
            assert!(unsafe { Ring::of(number) }.is_none());
        }
    }
}

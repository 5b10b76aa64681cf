//! Completions in user memory.
//!
//! `io_setup` maps a ring buffer into the process, and the context's number is its address. The
//! kernel appends events at `tail`; whoever takes one advances `head`. libaio reads the ring to see
//! that it is empty without a system call, fio's libaio engine (`userspace_reap`) to take events
//! from it.

use crate::bindings::{aio_context_t, io_event};
use std::num::NonZeroU32;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// `struct aio_ring`: not part of the kernel's exported headers, but of its interface since 2.5 all
/// the same; from fs/aio.c.
#[repr(C)]
#[derive(Debug)]
struct AioRing {
    /// The kernel's own number for the context.
    id: u32,
    /// How many events there is room for.
    nr: u32,
    /// The next event to take.
    head: AtomicU32,
    /// Where the kernel puts the next one.
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

/// The ring of one context.
#[derive(Debug)]
pub(crate) struct Ring {
    header: NonNull<AioRing>,
    room: NonZeroU32,
}

// SAFETY: the ring is the process's, not a thread's; taking from it needs `&mut self`.
unsafe impl Send for Ring {}

impl Ring {
    /// The ring at the address `context`, or `None` when what lies there is not a ring that this
    /// code understands (events must then be asked for).
    ///
    /// # Safety
    /// `context` came from `io_setup` in this process, and is destroyed only when the ring is no
    /// longer used. It need not be an address: one that cannot be is not looked at.
    pub(crate) unsafe fn of(context: aio_context_t) -> Option<Ring> {
        // The kernel maps the ring, so it starts on a page.
        let address = usize::try_from(context)
            .ok()
            .filter(|address| address % 4096 == 0)?;
        let header = NonNull::new(std::ptr::with_exposed_provenance_mut::<AioRing>(address))?;
        // SAFETY: a context's number is the address of its ring in every kernel that has AIO; the
        // caller says that it is one.
        unsafe { Ring::at(header) }
    }

    /// As [`Ring::of`], anywhere in memory.
    ///
    /// # Safety
    /// There is an `AioRing` at `header`, and if its magic number is right, `nr` events behind it.
    unsafe fn at(header: NonNull<AioRing>) -> Option<Ring> {
        // SAFETY: the caller's word. No other thread changes these fields.
        let ring = unsafe { header.as_ref() };
        let known = ring.magic == MAGIC
            && ring.compat_features & COMPAT_FEATURES == COMPAT_FEATURES
            && ring.incompat_features == INCOMPAT_FEATURES
            && ring.header_length as usize == size_of::<AioRing>();
        let room = NonZeroU32::new(ring.nr).filter(|_| known)?;
        Some(Ring { header, room })
    }

    /// Hands out every event that is in the ring now, oldest first, and returns how many.
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
            // Release: the reads above come before the store. The kernel reads the head before it
            // gives the place of an event to a new request (user_refill_reqs_available), whose
            // completion may then overwrite it.
            self.cells().0.store(head, Ordering::Release);
        }
        count
    }

    /// The event that came last, which stays in the ring; `None` when the ring is empty.
    pub(crate) fn newest(&self) -> Option<io_event> {
        let (head, tail) = self.bounds();
        let last = tail.checked_sub(1).unwrap_or(self.room.get() - 1);
        // SAFETY: the one before the tail is at the head or behind it, the two being different.
        (head != tail).then(|| unsafe { self.event(last) })
    }

    /// Where the next event to take is, and where the kernel will put the next one.
    fn bounds(&self) -> (u32, u32) {
        let (head, tail) = self.cells();
        // The kernel orders its store of an event before that of the tail (smp_wmb in
        // aio_complete); the acquire here is the other half, so every event below this tail is
        // there to be read.
        let tail = tail.load(Ordering::Acquire) % self.room;
        (head.load(Ordering::Relaxed) % self.room, tail)
    }

    fn cells(&self) -> (&AtomicU32, &AtomicU32) {
        // SAFETY: the ring stays mapped as long as this value is used (`of`), and what others
        // change in it, they change in these two atomic fields.
        unsafe {
            let ring = self.header.as_ptr();
            (&(*ring).head, &(*ring).tail)
        }
    }

    /// The event at `index`.
    ///
    /// # Safety
    /// It lies between [`Ring::bounds`].
    unsafe fn event(&self, index: u32) -> io_event {
        // SAFETY: `index` is below `nr`, and that many events lie behind the header (`at`). The
        // kernel does not write to one that it has announced until it has seen the head move past it.
        unsafe {
            let events = self.header.as_ptr().add(1).cast::<io_event>();
            events.add(index as usize).read()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring in memory of our own.
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
    fn what_is_not_understood_is_not_touched() {
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
    fn a_number_that_is_no_page_address_is_not_looked_at() {
        for number in [0, 1, 4095, 4097] {
            // SAFETY: none of these is looked at, which is what is tested.
            assert!(unsafe { Ring::of(number) }.is_none());
        }
    }
}

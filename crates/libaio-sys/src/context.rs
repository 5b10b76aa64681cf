//! An AIO context that owns the buffers of its requests.

use crate::bindings::{aio_context_t, io_event};
use crate::mapping::Mapping;
use crate::requests::Requests;
use crate::ring::Ring;
use crate::slots::Key;
use crate::{Errno, Events, Submission, Submitted, Waiter, calls};
use kernel_fd::fork::Generation;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How many completions are asked for at a time when the ring cannot be read.
const BATCH: usize = 128;

const AT_ONCE: libc::timespec = libc::timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// A word, since some targets (armel, powerpc) have no atomic integers of 64 bits.
static SERIAL: AtomicUsize = AtomicUsize::new(0);

/// A request that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// What the submitter called the request.
    pub token: u64,
    /// The number of bytes read, or a negative errno.
    pub res: i64,
    /// The second result; 0 for reads.
    pub res2: i64,
}

/// Outlives its [`Context`], and says whether that still counts against `fs.aio-max-nr`.
#[derive(Debug)]
pub struct Trace {
    id: aio_context_t,
    generation: Generation,
}

impl Trace {
    /// Whether the context's destruction has begun. The kernel gives its quota back first of all, before
    /// it waits for what is in flight. (A context that was made since may have the same number: then the
    /// answer is no.)
    pub fn is_gone(&self) -> bool {
        !self.generation.is_here() || calls::io_getevents(self.id, 0, &mut [], AT_ONCE).is_err()
    }
}

/// Memory that a [`Context`] lacks for a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    length: usize,
    size: usize,
}

impl Lack {
    /// Maps the memory, which may take as long as the kernel needs to find some: not to be done with a
    /// lock on the context.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn map(self) -> Result<Memory, Errno> {
        let mapping = Mapping::new(self.size)?;
        let length = self.length;
        Ok(Memory { length, mapping })
    }
}

/// Memory that is not part of a [`Context`]: not yet, or not any more. Unmapped on drop.
#[derive(Debug)]
pub struct Memory {
    /// The length of the reads it was mapped for.
    length: usize,
    mapping: Mapping,
}

/// What is left of a [`Context`] that has been destroyed: memory of the allocator, freed on drop. That may
/// be left to another thread, since the C library gives each thread that frees an arena of its own.
#[derive(Debug)]
#[must_use = "the memory is freed by the thread that drops it"]
pub struct Remains {
    _context: Context,
}

/// A kernel AIO context and the memory its requests read into.
///
/// A buffer belongs to the kernel from submission until the request's completion has been seen,
/// whatever else happens. To drop a context never waits: with requests in flight, or a [`Waiter`] or
/// [`Submission`] out, the kernel's context and the buffers are left behind for good; otherwise the
/// context is destroyed.
///
/// After `fork` the context is the parent's: in the child it takes no request, has no completions,
/// and a drop forgets it.
#[derive(Debug)]
pub struct Context {
    id: aio_context_t,
    /// What tells this context's waiters and events from those of any other, past ones included:
    /// the kernel gives the same `id` again.
    serial: usize,
    generation: Generation,
    /// `None` when completions have to be asked for.
    ring: Option<Ring>,
    requests: Requests,
    /// How many [`Waiter`]s and [`Submission`]s are out.
    waiters: usize,
    submissions: usize,
    destroyed: bool,
}

impl Context {
    /// A context in which `events` requests can be in flight at a time. All the memory for their
    /// bookkeeping is allocated here; buffers are mapped as they are needed.
    ///
    /// # Errors
    /// `EAGAIN` when the sysctl `fs.aio-max-nr` leaves no room for so many, `ENOMEM`, `EINVAL` for
    /// no events, `ENOSYS` when the kernel has no AIO.
    pub fn new(events: u16) -> Result<Context, Errno> {
        let requests = Requests::new(events)?;
        let generation = Generation::current()?;
        let id = calls::io_setup(u32::from(events))?;
        Ok(Context {
            id,
            serial: SERIAL.fetch_add(1, Relaxed),
            generation,
            // SAFETY: the number is fresh from io_setup, and only `destroy_in_kernel` destroys it,
            // after which nothing uses the ring.
            ring: unsafe { Ring::of(id) },
            requests,
            waiters: 0,
            submissions: 0,
            destroyed: false,
        })
    }

    /// Starts a read of `length` bytes at offset 0 of `fd` into a buffer of its own (whole pages),
    /// with exactly one `io_submit`. `token` comes back with the completion.
    ///
    /// # Errors
    /// `EAGAIN` when as many requests as the context can hold are in flight or the kernel took
    /// none, `ENOMEM` when there is no buffer, `EINVAL` in a child process, else what the kernel
    /// says (`EBADF`, `EINVAL`, …). Nothing is in flight then.
    pub fn submit_read(&mut self, fd: RawFd, length: usize, token: u64) -> Result<(), Errno> {
        if let Some(lack) = self.lacks(length)? {
            self.supply(lack.map()?);
        }
        let submitted = self.begin_read(length, token)?.submit(fd);
        self.settle(submitted)
    }

    /// [`Context::submit_read`] in three steps, so that the second, which may block in the kernel,
    /// can be taken with the context's lock released: this one,
    /// [`Submission::submit`](crate::Submission::submit), [`Context::settle`]. The request counts
    /// as in flight from here on.
    ///
    /// # Errors
    /// `EAGAIN` and `EINVAL` as [`Context::submit_read`], `ENOMEM` when [`Context::lacks`] says that
    /// memory is missing.
    pub fn begin_read(&mut self, length: usize, token: u64) -> Result<Submission, Errno> {
        if !self.generation.is_here() {
            return Err(Errno(libc::EINVAL));
        }
        let (key, block) = self.requests.begin(token, length)?;
        self.submissions += 1;
        Ok(Submission {
            id: self.id,
            serial: self.serial,
            generation: self.generation,
            key,
            block,
            length,
        })
    }

    /// Whether a read of `length` bytes can begin: there is room for it, and no memory is missing.
    pub fn is_ready(&self, length: usize) -> bool {
        self.requests.is_ready(length)
    }

    /// The memory that has to be mapped and [supplied](Context::supply) before a read of `length` bytes
    /// can begin; `None` when nothing is missing.
    ///
    /// # Errors
    /// `ENOMEM` when there cannot be so much memory.
    pub fn lacks(&self, length: usize) -> Result<Option<Lack>, Errno> {
        let size = self.requests.missing(length)?;
        Ok(size.map(|size| Lack { length, size }))
    }

    /// Takes memory in that [`Context::lacks`] has asked for. What is not missing any more comes back.
    pub fn supply(&mut self, memory: Memory) -> Option<Memory> {
        let Memory { length, mapping } = memory;
        let mapping = self.requests.supply(length, mapping)?;
        Some(Memory { length, mapping })
    }

    /// Takes note of what came of a submission. Its completion may have been handed out before.
    ///
    /// # Errors
    /// What the kernel said of it; the request is not in flight then. `EINVAL` for a submission of
    /// another context.
    pub fn settle(&mut self, submitted: Submitted) -> Result<(), Errno> {
        if submitted.serial != self.serial {
            return Err(Errno(libc::EINVAL));
        }
        self.submissions = self.submissions.saturating_sub(1);
        if submitted.result.is_err() {
            self.requests.finish(submitted.key);
        }
        submitted.result
    }

    /// Hands out every request that has completed, oldest first, and returns how many.
    ///
    /// Reads the ring in user memory, without a system call. While a [`Waiter`] is out, or when the
    /// kernel's ring is not as expected, asks the kernel (without waiting) instead.
    ///
    /// # Errors
    /// What `io_getevents` says, when it has to be asked. Completions handed out before stay so.
    pub fn reap(&mut self, mut each: impl FnMut(Completion)) -> Result<usize, Errno> {
        if !self.generation.is_here() {
            return Ok(0);
        }
        match &mut self.ring {
            Some(ring) if self.waiters == 0 => {
                let mut count = 0;
                ring.drain(|event| count += hand_out(&mut self.requests, &event, &mut each));
                Ok(count)
            }
            _ => self.ask(each),
        }
    }

    /// The newest completion, as long as it has not been taken from the ring; it stays there. Costs no
    /// system call, and knows nothing where the ring cannot be read (see [`Context::reap`]).
    pub fn newest(&self) -> Option<Completion> {
        if self.waiters > 0 || !self.generation.is_here() {
            return None;
        }
        let event = self.ring.as_ref()?.newest()?;
        let token = self.requests.token(Key(event.data))?;
        Some(Completion {
            token,
            res: event.res,
            res2: event.res2,
        })
    }

    /// [`Context::reap`] by system call.
    fn ask(&mut self, mut each: impl FnMut(Completion)) -> Result<usize, Errno> {
        let mut events = [io_event::default(); BATCH];
        let mut count = 0;
        loop {
            let came = calls::io_getevents(self.id, 0, &mut events, AT_ONCE)?;
            for event in events.iter().take(came) {
                count += hand_out(&mut self.requests, event, &mut each);
            }
            if came < BATCH {
                return Ok(count);
            }
        }
    }

    /// A handle with which to wait for completions while others use the context, for example with
    /// its lock released. Must be given back with [`Context::release`]: until then completions are
    /// asked for by system call, since the kernel, on behalf of the waiter, and this process must
    /// not both advance the ring's head, and the context is not destroyed.
    pub fn waiter(&mut self) -> Waiter {
        self.waiters += 1;
        Waiter {
            id: self.id,
            serial: self.serial,
            generation: self.generation,
        }
    }

    /// Takes a waiter back. One of another context is dropped without effect.
    pub fn release(&mut self, waiter: Waiter) {
        if waiter.serial == self.serial {
            self.waiters = self.waiters.saturating_sub(1);
        }
    }

    /// Hands out the completions that a [`Waiter`] brought. Those of another context are ignored.
    pub fn accept(&mut self, events: Events, mut each: impl FnMut(Completion)) {
        if events.serial == self.serial && self.generation.is_here() {
            for event in events.iter() {
                hand_out(&mut self.requests, event, &mut each);
            }
        }
    }

    /// How many requests have been submitted and not yet been seen completed.
    pub fn in_flight(&self) -> usize {
        self.requests.in_flight()
    }

    /// How many [`Submission`]s are out: begun and not settled.
    pub fn submissions(&self) -> usize {
        self.submissions
    }

    /// How many buffers of 4096 bytes are mapped, in use or not.
    pub fn mapped_blocks(&self) -> usize {
        self.requests.mapped_blocks()
    }

    /// Finds out which memory no request has needed since the last time; it is unused from now on.
    /// Memory stays mapped until then, since to map it for each request would cost half a read.
    pub fn shrink(&mut self) {
        self.requests.shrink();
    }

    /// From now on all memory is unused that no request has.
    pub fn trim(&mut self) {
        self.requests.trim();
    }

    /// Takes unused memory away, at most 64 buffers at a time, and `None` when no more is unused. It is
    /// unmapped when dropped.
    pub fn take_unused(&mut self) -> Option<Memory> {
        let mapping = self.requests.take_unused()?;
        Some(Memory { length: 0, mapping })
    }

    /// Whether the context belongs to this process, and not to one of which this is a child.
    pub fn is_here(&self) -> bool {
        self.generation.is_here()
    }

    /// Whether nothing is in flight and no [`Waiter`] or [`Submission`] is out, as far as is known without
    /// [`Context::reap`].
    pub fn is_idle(&self) -> bool {
        self.in_flight() == 0 && self.is_whole()
    }

    /// Destroys the context (about 30 ms: the kernel waits for a grace period).
    ///
    /// # Errors
    /// Gives the context back while requests are in flight, for which the kernel would wait, or a
    /// [`Waiter`] or [`Submission`] is out.
    #[expect(clippy::result_large_err, reason = "a box would have to be allocated")]
    pub fn destroy(self) -> Result<(), Context> {
        if self.is_idle() {
            drop(self);
            Ok(())
        } else {
            Err(self)
        }
    }

    /// Destroys the context and waits until its last request has ended, however long the device
    /// takes. For a thread of its own. With a [`Waiter`] or [`Submission`] out the context is left
    /// behind instead.
    pub fn drain_and_destroy(mut self) -> Remains {
        if self.is_whole() && self.generation.is_here() {
            self.destroy_in_kernel();
        }
        if self.destroyed {
            self.requests.unmap();
        }
        Remains { _context: self }
    }

    /// For finding out later whether the context is gone.
    pub fn trace(&self) -> Trace {
        Trace {
            id: self.id,
            generation: self.generation,
        }
    }

    /// Whether no [`Waiter`] or [`Submission`] can still use the context's number.
    fn is_whole(&self) -> bool {
        self.waiters == 0 && self.submissions == 0
    }

    /// Waits for the requests in flight; the buffers are ours again when it has succeeded.
    fn destroy_in_kernel(&mut self) {
        self.ring = None;
        // SAFETY: the only ring that was made of this number is gone since the line above.
        self.destroyed = unsafe { calls::io_destroy(self.id) }.is_ok();
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.destroyed {
            return;
        }
        if self.generation.is_here() {
            // What cannot be asked counts as still in flight.
            let _ = self.reap(|_| {});
            if self.is_idle() {
                self.destroy_in_kernel();
                return;
            }
        }
        self.requests.leak();
    }
}

/// Ends the request that `event` belongs to and tells `each`. Returns how many requests that is:
/// one, or none.
fn hand_out(requests: &mut Requests, event: &io_event, each: &mut impl FnMut(Completion)) -> usize {
    let Some(token) = requests.finish(Key(event.data)) else {
        return 0;
    };
    each(Completion {
        token,
        res: event.res,
        res2: event.res2,
    });
    1
}

#[cfg(test)]
mod tests;

// SPDX-License-Identifier: LGPL-2.0-or-later

//! An AIO context that owns the buffers of its requests.

#![forbid(unsafe_code)]

use crate::bindings::io_event;
use crate::identity::Identity;
use crate::memory::{Memory, Missing};
use crate::requests::Requests;
use crate::ring::KernelContext;
use crate::slots::Key;
use crate::{Errno, Events, Quota, Submission, Submitted, Waiter, calls};
use kernel_fd::fork::Generation;
use std::os::fd::RawFd;

/// How many completions are asked for at a time when the ring cannot be read.
const BATCH: usize = 128;

const WITHOUT_WAITING: libc::timespec = libc::timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// A request that has completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The token under which the request was submitted.
    pub token: u64,
    /// The number of bytes read, or a negative errno.
    pub res: i64,
    /// The second result of `struct io_event`; 0 for reads.
    pub res2: i64,
}

/// What remains of a [`Context`] that has been destroyed: its bookkeeping, freed on drop. That can be left to
/// another thread, since the C library gives each thread that frees memory an arena of its own.
#[derive(Debug)]
#[must_use = "the memory is freed by the thread that drops it"]
pub struct Remains {
    _context: Context,
}

/// A kernel AIO context and the memory that its requests read into.
///
/// A buffer belongs to the kernel from submission until the completion of the request has been taken, whatever
/// else happens. Dropping a context never waits for a device: with requests in flight, or a [`Waiter`] or
/// [`Submission`] out, the kernel's context and the buffers are left behind for good; otherwise the context is
/// destroyed, which takes some 30 ms.
///
/// After `fork` the context is the parent's: in the child it takes no request, has no completions, and a drop
/// frees the bookkeeping only.
#[derive(Debug)]
pub struct Context {
    kernel: KernelContext,
    identity: Identity,
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
    /// no events, `ENOSYS` when the kernel has no AIO: io_setup(2).
    pub fn new(events: u16) -> Result<Context, Errno> {
        let requests = Requests::new(events)?;
        let generation = Generation::current()?;
        let kernel = KernelContext::new(events)?;
        let identity = Identity::new(kernel.id(), generation);
        Ok(Context {
            kernel,
            identity,
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
    /// returns (`EBADF`, `EINVAL`, …: io_submit(2)). Nothing is in flight then.
    pub fn submit_read(&mut self, fd: RawFd, length: usize, token: u64) -> Result<(), Errno> {
        if let Some(missing) = self.missing(length)? {
            self.supply(missing.map()?);
        }
        let submitted = self.begin_read(length, token)?.submit(fd);
        self.settle(submitted)
    }

    /// The first of the three steps of [`Context::submit_read`]: this one, [`Submission::submit`],
    /// [`Context::settle`]. The second may block in the kernel; separate steps allow it to be taken with the
    /// lock on the context released. The request counts as in flight from here on.
    ///
    /// # Errors
    /// `EAGAIN` and `EINVAL` as [`Context::submit_read`], `ENOMEM` when [`Context::missing`] returns memory
    /// that has not been supplied.
    pub fn begin_read(&mut self, length: usize, token: u64) -> Result<Submission, Errno> {
        if !self.is_here() {
            return Err(Errno(libc::EINVAL));
        }
        let (key, block) = self.requests.begin(token, length)?;
        self.submissions += 1;
        Ok(Submission {
            of: self.identity,
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
    /// `ENOMEM` when so much memory cannot exist.
    pub fn missing(&self, length: usize) -> Result<Option<Missing>, Errno> {
        let size = self.requests.missing(length)?;
        Ok(size.map(|size| Missing { length, size }))
    }

    /// Takes memory that [`Context::missing`] has asked for. Returns it if it is not missing any more.
    pub fn supply(&mut self, memory: Memory) -> Option<Memory> {
        let Memory { length, mapping } = memory;
        let mapping = self.requests.supply(length, mapping)?;
        Some(Memory { length, mapping })
    }

    /// Records the result of a submission. Its completion may have been taken before.
    ///
    /// # Errors
    /// What the kernel returned; the request is not in flight then. `EINVAL` for a submission of
    /// another context, which changes nothing.
    pub fn settle(&mut self, submitted: Submitted) -> Result<(), Errno> {
        if submitted.of != self.identity {
            return Err(Errno(libc::EINVAL));
        }
        self.submissions = self.submissions.saturating_sub(1);
        if submitted.result.is_err() {
            self.requests.finish(submitted.key);
        }
        submitted.result
    }

    /// Calls `each` for every request that has completed, oldest first, and returns how many there were.
    ///
    /// Reads the ring in user memory, without a system call. While a [`Waiter`] is out, or when the
    /// kernel's ring is not understood, asks the kernel (without waiting) instead.
    ///
    /// # Errors
    /// What `io_getevents` returns, when it has to be called. Completions passed on before remain so.
    pub fn reap(&mut self, mut each: impl FnMut(Completion)) -> Result<usize, Errno> {
        if !self.is_here() {
            return Ok(0);
        }
        match self.kernel.ring_mut() {
            Some(ring) if self.waiters == 0 => {
                let mut count = 0;
                ring.drain(|event| count += complete(&mut self.requests, &event, &mut each));
                Ok(count)
            }
            _ => self.ask(each),
        }
    }

    /// [`Context::reap`] by system call.
    fn ask(&mut self, mut each: impl FnMut(Completion)) -> Result<usize, Errno> {
        let mut events = [io_event::default(); BATCH];
        let mut count = 0;
        loop {
            let taken = calls::io_getevents(self.identity.id, 0, &mut events, WITHOUT_WAITING)?;
            for event in events.iter().take(taken) {
                count += complete(&mut self.requests, event, &mut each);
            }
            if taken < BATCH {
                return Ok(count);
            }
        }
    }

    /// The newest completion, if it has not been taken from the ring, where it stays. Makes no system call;
    /// `None` also where the ring cannot be read (see [`Context::reap`]).
    pub fn newest(&self) -> Option<Completion> {
        if self.waiters > 0 || !self.is_here() {
            return None;
        }
        let event = self.kernel.ring()?.newest()?;
        let token = self.requests.token(Key(event.data))?;
        Some(Completion {
            token,
            res: event.res,
            res2: event.res2,
        })
    }

    /// A handle with which to wait for completions while other threads use the context, for example with
    /// its lock released. Must be [released](Context::release). Until then completions are asked for by
    /// system call, since the kernel, on behalf of the waiter, and this process must not both advance the
    /// ring's head; and the context is not destroyed.
    pub fn waiter(&mut self) -> Waiter {
        self.waiters += 1;
        Waiter { of: self.identity }
    }

    /// Ends the use of a waiter. One of another context is dropped without effect.
    pub fn release(&mut self, waiter: Waiter) {
        if waiter.of == self.identity {
            self.waiters = self.waiters.saturating_sub(1);
        }
    }

    /// Calls `each` for the completions that a [`Waiter`] returned. Those of another context are ignored.
    pub fn accept(&mut self, events: Events, mut each: impl FnMut(Completion)) {
        if events.of == self.identity && self.is_here() {
            for event in events.iter() {
                complete(&mut self.requests, event, &mut each);
            }
        }
    }

    /// How many requests have been submitted whose completions have not been taken.
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

    /// Marks as unused the memory that no request has needed since the previous call. Memory stays mapped
    /// until then, since mapping it for each request would cost half a read.
    pub fn shrink(&mut self) {
        self.requests.shrink();
    }

    /// Marks as unused all memory without a request in flight.
    pub fn trim(&mut self) {
        self.requests.trim();
    }

    /// Removes unused memory, at most 64 buffers at a time; `None` when no more is unused. Unmapped on drop.
    pub fn take_unused(&mut self) -> Option<Memory> {
        let mapping = self.requests.take_unused()?;
        Some(Memory { length: 0, mapping })
    }

    /// Whether the context belongs to this process, and not to one of which this is a child.
    pub fn is_here(&self) -> bool {
        self.identity.is_here()
    }

    /// Whether nothing is in flight and no [`Waiter`] or [`Submission`] is out, as far as is known without
    /// [`Context::reap`].
    pub fn is_idle(&self) -> bool {
        self.in_flight() == 0 && !self.is_lent()
    }

    /// Destroys the context. Takes some 30 ms: `io_destroy` waits for an RCU grace period.
    ///
    /// # Errors
    /// Returns the context while requests are in flight, for which the kernel would wait, or a
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
    /// takes: to be called on a thread of its own. With a [`Waiter`] or [`Submission`] out, the context is
    /// left behind instead.
    pub fn drain_and_destroy(mut self) -> Remains {
        if !self.is_lent() && self.is_here() {
            self.destroyed = self.kernel.destroy();
        }
        if self.destroyed {
            self.requests.unmap();
        }
        Remains { _context: self }
    }

    /// For finding out later whether the context still counts against `fs.aio-max-nr`.
    pub fn quota(&self) -> Quota {
        Quota { of: self.identity }
    }

    /// Whether a [`Waiter`] or [`Submission`] can still use the context's number.
    fn is_lent(&self) -> bool {
        self.waiters > 0 || self.submissions > 0
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.destroyed {
            return;
        }
        if self.is_here() {
            // Without an answer, requests count as in flight.
            let _ = self.reap(|_| {});
            if self.is_idle() && self.kernel.destroy() {
                return;
            }
        }
        self.requests.leak();
    }
}

/// Ends the request that `event` belongs to and passes it to `each`. Returns how many requests that is:
/// one, or none.
fn complete(requests: &mut Requests, event: &io_event, each: &mut impl FnMut(Completion)) -> usize {
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

//! Submitting a request without holding the context.

use crate::arena::Block;
use crate::bindings::{IOCB_CMD_PREAD, aio_context_t, iocb};
use crate::slots::Key;
use crate::{Errno, calls};
use kernel_fd::fork::Generation;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The kernel is known to know `RWF_NOWAIT`. One that does not (before 4.13) looks at the field
/// first and says `EINVAL` to whatever is not zero, so any other answer proves it.
static NOWAIT_KNOWN: AtomicBool = AtomicBool::new(false);

/// How many requests have been written. A thread that writes into memory of an earlier request does so
/// after that request's completion, which the kernel orders after its submission. The counter makes that
/// order known to the language, and to tools that look for races.
static WRITTEN: AtomicUsize = AtomicUsize::new(0);

/// A read that has its buffer and has not been submitted; see
/// [`Context::begin_read`](crate::Context::begin_read).
#[derive(Debug)]
#[must_use = "its place in the context stays taken until it has been submitted and settled"]
pub struct Submission {
    pub(crate) id: aio_context_t,
    pub(crate) serial: usize,
    pub(crate) generation: Generation,
    pub(crate) key: Key,
    pub(crate) block: Block,
    pub(crate) length: usize,
}

// SAFETY: the memory belongs to the request, not to the thread that began it. The buffer is not touched
// through this value, and the iocb only by the one thread that has it.
unsafe impl Send for Submission {}

impl Submission {
    /// Submits the read, at offset 0 of `fd`, with exactly one `io_submit`. That blocks where the
    /// device's queue has no room for another request, or its file system does not do asynchronous
    /// I/O. Give what comes back to [`Context::settle`](crate::Context::settle).
    pub fn submit(self, fd: RawFd) -> Submitted {
        self.submit_as(fd, 0)
    }

    /// [`Submission::submit`] that never blocks. A read that would have had to wait completes with
    /// `-EAGAIN`. Where waiting cannot be ruled out, that is `EOPNOTSUPP`: of a file, or a kernel
    /// before 4.13, the result of the submission; of a device, the result of the completion.
    pub fn submit_nowait(self, fd: RawFd) -> Submitted {
        let mut submitted = self.submit_as(fd, libc::RWF_NOWAIT);
        if !NOWAIT_KNOWN.load(Relaxed) {
            match submitted.result {
                Err(Errno(libc::EINVAL)) => submitted.result = Err(Errno(libc::EOPNOTSUPP)),
                _ => NOWAIT_KNOWN.store(true, Relaxed),
            }
        }
        submitted
    }

    /// Gives up on the read without telling the kernel of it: `ECANCELED`.
    pub fn withdraw(self) -> Submitted {
        self.ended(Err(Errno(libc::ECANCELED)))
    }

    fn submit_as(self, fd: RawFd, flags: i32) -> Submitted {
        let request = self.request(fd, flags);
        self.put(request)
    }

    /// What the kernel is told.
    pub(crate) fn request(&self, fd: RawFd, flags: i32) -> iocb {
        let mut request = iocb {
            aio_data: self.key.0,
            aio_lio_opcode: IOCB_CMD_PREAD as u16,
            aio_fildes: fd as u32,
            aio_buf: self.block.buffer.as_ptr().expose_provenance() as u64,
            aio_nbytes: self.length as u64,
            ..iocb::default()
        };
        request.set_rw_flags(flags);
        request
    }

    /// Submits `request`, which is [`Submission::request`], or uses no memory.
    pub(crate) fn put(self, request: iocb) -> Submitted {
        if !self.generation.is_here() {
            return self.ended(Err(Errno(libc::EINVAL)));
        }
        WRITTEN.load(Ordering::Acquire);
        // SAFETY: the arena has lent the block, room for an iocb and a buffer, to this request alone
        // until its event has come or `settle` has found that the kernel did not take it. A context
        // with a submission out is not destroyed, so `id` is still that context.
        let result = unsafe {
            self.block.request.write(request);
            WRITTEN.fetch_add(1, Ordering::Release);
            calls::io_submit(self.id, self.block.request)
        };
        self.ended(result)
    }

    fn ended(self, result: Result<(), Errno>) -> Submitted {
        Submitted {
            serial: self.serial,
            key: self.key,
            result,
        }
    }
}

impl iocb {
    /// Sets `RWF_…` flags where the kernel looks for them: `aio_key` and `aio_rw_flags` change places
    /// with the byte order.
    fn set_rw_flags(&mut self, flags: i32) {
        if cfg!(target_endian = "big") {
            self.aio_key = flags as u32;
        } else {
            self.aio_rw_flags = flags;
        }
    }
}

/// What came of a [`Submission`].
#[derive(Debug)]
#[must_use = "the context is not destroyed before it has been settled"]
pub struct Submitted {
    pub(crate) serial: usize,
    pub(crate) key: Key,
    pub(crate) result: Result<(), Errno>,
}

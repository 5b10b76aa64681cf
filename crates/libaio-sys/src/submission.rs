// SPDX-License-Identifier: LGPL-2.0-or-later

//! Submitting a request without holding the context.

use crate::bindings::{IOCB_CMD_PREAD, iocb};
use crate::identity::Identity;
use crate::mapping::Block;
use crate::slots::Key;
use crate::{Errno, calls};
use std::os::fd::RawFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicUsize};

/// Whether the kernel is known to know `RWF_NOWAIT`. One that does not (before 4.13) refuses any flags with
/// `EINVAL` before it checks anything else, so any other result proves that it does.
static NOWAIT_KNOWN: AtomicBool = AtomicBool::new(false);

/// How many requests have been written. A thread that writes into the memory of an earlier request does so
/// after the completion of that request, which the kernel orders after its submission. The counter makes that
/// order visible to Rust's memory model and to tools that search for data races.
static WRITTEN: AtomicUsize = AtomicUsize::new(0);

/// A read that has its buffer and has not been submitted; see
/// [`Context::begin_read`](crate::Context::begin_read).
#[derive(Debug)]
#[must_use = "its slot in the context stays taken until it has been submitted and settled"]
pub struct Submission {
    pub(crate) of: Identity,
    pub(crate) key: Key,
    pub(crate) block: Block,
    pub(crate) length: usize,
}

// SAFETY: the memory belongs to the request, not to the thread that began it. The buffer is not accessed
// through this value, and the iocb only by the one thread that owns the value.
unsafe impl Send for Submission {}

impl Submission {
    /// Submits the read, at offset 0 of `fd`, with exactly one `io_submit`. That blocks while the
    /// device's queue has no room for another request, or where the file system does not do asynchronous
    /// I/O. Pass what is returned to [`Context::settle`](crate::Context::settle).
    pub fn submit(self, fd: RawFd) -> Submitted {
        let request = self.read(fd, 0);
        self.put(request)
    }

    /// [`Submission::submit`] with `RWF_NOWAIT`, which does not block. A read that would have had to wait
    /// completes with `-EAGAIN`. Where waiting cannot be ruled out, the result is `EOPNOTSUPP`: of the
    /// submission for a file, or a kernel before 4.13; of the completion for a device. (io_submit(2); for
    /// block devices the flag works since Linux 5.13.)
    pub fn submit_nowait(self, fd: RawFd) -> Submitted {
        let request = self.read(fd, libc::RWF_NOWAIT);
        let mut submitted = self.put(request);
        if !NOWAIT_KNOWN.load(Relaxed) {
            match submitted.result {
                Err(Errno(libc::EINVAL)) => submitted.result = Err(Errno(libc::EOPNOTSUPP)),
                _ => NOWAIT_KNOWN.store(true, Relaxed),
            }
        }
        submitted
    }

    /// Gives up the read without a system call. Its result is `ECANCELED`.
    pub fn withdraw(self) -> Submitted {
        self.ended(Err(Errno(libc::ECANCELED)))
    }

    /// A read of the first block of `fd`, into the buffer.
    fn read(&self, fd: RawFd, flags: i32) -> iocb {
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

    /// Submits `request`, which is from [`Submission::read`], or uses no memory.
    fn put(self, request: iocb) -> Submitted {
        if !self.of.is_here() {
            return self.ended(Err(Errno(libc::EINVAL)));
        }
        WRITTEN.load(Acquire);
        // SAFETY: the context has lent the block, room for an iocb and a buffer, to this request alone, until
        // its event has come or `settle` has found that the kernel did not take it. `Mapping::block` has
        // aligned it. A context with a submission out is not destroyed, so `id` is still that context.
        let result = unsafe {
            self.block.request.write(request);
            WRITTEN.fetch_add(1, Release);
            calls::io_submit(self.of.id, self.block.request)
        };
        self.ended(result)
    }

    fn ended(self, result: Result<(), Errno>) -> Submitted {
        Submitted {
            of: self.of,
            key: self.key,
            result,
        }
    }

    /// Submits a request that completes when there is something to read from `fd`.
    #[cfg(test)]
    pub(crate) fn submit_poll(self, fd: RawFd) -> Submitted {
        let mut request = self.read(fd, 0);
        request.aio_lio_opcode = crate::bindings::IOCB_CMD_POLL as u16;
        // A poll has its mask in place of a buffer, and no length.
        request.aio_buf = libc::POLLIN as u64;
        request.aio_nbytes = 0;
        self.put(request)
    }
}

impl iocb {
    /// Sets `RWF_…` flags where the kernel expects them: `aio_key` and `aio_rw_flags` change places with the
    /// byte order (<linux/aio_abi.h>).
    fn set_rw_flags(&mut self, flags: i32) {
        if cfg!(target_endian = "big") {
            self.aio_key = flags as u32;
        } else {
            self.aio_rw_flags = flags;
        }
    }
}

/// The result of a [`Submission`].
#[derive(Debug)]
#[must_use = "the context is not destroyed before it has been settled"]
pub struct Submitted {
    pub(crate) of: Identity,
    pub(crate) key: Key,
    pub(crate) result: Result<(), Errno>,
}

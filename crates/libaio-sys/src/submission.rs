//! Submitting a request without holding the context.

use crate::bindings::{aio_context_t, iocb};
use crate::fork::Generation;
use crate::slots::Key;
use crate::{Errno, calls};
use std::os::fd::RawFd;

/// A read that has its buffer and has not been submitted; see
/// [`Context::begin_read`](crate::Context::begin_read).
#[derive(Debug)]
#[must_use = "its place in the context stays taken until it has been submitted and settled"]
pub struct Submission {
    pub(crate) id: aio_context_t,
    pub(crate) serial: u64,
    pub(crate) generation: Generation,
    pub(crate) key: Key,
    pub(crate) request: iocb,
}

impl Submission {
    /// Submits the read, at offset 0 of `fd`, with exactly one `io_submit`. That blocks where the
    /// device's queue has no room for another request, or its file system does not do asynchronous
    /// I/O. Give what comes back to [`Context::settle`](crate::Context::settle).
    pub fn submit(mut self, fd: RawFd) -> Submitted {
        let result = if self.generation.is_here() {
            self.request.aio_fildes = fd as u32;
            // SAFETY: the buffer that the request names is its alone until its event has come or
            // `settle` has found that the kernel did not take it. A context with a submission out
            // is not destroyed, so `id` is still that context.
            unsafe { calls::io_submit(self.id, &mut self.request) }
        } else {
            Err(Errno(libc::EINVAL))
        };
        Submitted {
            serial: self.serial,
            key: self.key,
            result,
        }
    }
}

/// What came of a [`Submission`].
#[derive(Debug)]
#[must_use = "the context is not destroyed before it has been settled"]
pub struct Submitted {
    pub(crate) serial: u64,
    pub(crate) key: Key,
    pub(crate) result: Result<(), Errno>,
}

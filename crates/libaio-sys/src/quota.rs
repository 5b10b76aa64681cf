// SPDX-License-Identifier: LGPL-2.0-or-later

//! The part of `fs.aio-max-nr` that a context uses.

#![forbid(unsafe_code)]

use crate::calls;
use crate::identity::Identity;

const WITHOUT_WAITING: libc::timespec = libc::timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// Outlives its [`Context`](crate::Context), and reports whether that still counts against the sysctl
/// `fs.aio-max-nr`.
#[derive(Debug)]
pub struct Quota {
    pub(crate) of: Identity,
}

impl Quota {
    /// Whether the destruction of the context has begun: `io_destroy` returns the quota first of all, before
    /// it waits for requests in flight (`kill_ioctx` in fs/aio.c). `false` also when a context made since has
    /// the same number. One system call.
    pub fn is_returned(&self) -> bool {
        !self.of.is_here() || calls::io_getevents(self.of.id, 0, &mut [], WITHOUT_WAITING).is_err()
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The descriptor that a run sends its commands to.

#![forbid(unsafe_code)]

#[cfg(shuttle)]
use crate::sync::model::duplicate;
#[cfg(not(shuttle))]
use kernel_fd::duplicate;

use kernel_fd::Errno;
use std::os::fd::{AsRawFd, RawFd};

/// A second descriptor of an open file, closed when it is dropped.
#[cfg(not(shuttle))]
pub(crate) type Duplicate = std::os::fd::OwnedFd;
#[cfg(shuttle)]
pub(crate) type Duplicate = crate::sync::model::Duplicate;

/// The process or the system may open no more descriptors.
pub(crate) struct NoDescriptor;

/// A descriptor of the run's own for the device behind `fd`, made once per run: after the path has been
/// freed the host may close `fd` and the number may name another file, while a worker is about to send a
/// command. Called with the run's lock held and the run not cancelled, so the path has not been freed.
///
/// A number that is not open is returned as it is; the command then fails with `EBADF`.
///
/// # Errors
/// [`NoDescriptor`] when the process or the system may open no more.
pub(crate) fn of_run(fd: RawFd, copy: &mut Option<Duplicate>) -> Result<RawFd, NoDescriptor> {
    if copy.is_none() {
        *copy = match duplicate(fd) {
            Ok(duplicate) => Some(duplicate),
            Err(Errno::EBADF) => None,
            Err(_) => return Err(NoDescriptor),
        };
    }
    Ok(copy.as_ref().map_or(fd, AsRawFd::as_raw_fd))
}

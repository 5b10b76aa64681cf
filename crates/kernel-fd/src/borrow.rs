// SPDX-License-Identifier: LGPL-2.0-or-later

//! Descriptor numbers for `nix`, which asks for descriptors that are known to be open.

use crate::Errno;
use std::os::fd::{BorrowedFd, RawFd};

/// `fd` for one call of the kernel.
///
/// # Errors
/// `EBADF` when `fd` is negative, as the kernel would say.
pub(crate) fn borrow<'a>(fd: RawFd) -> Result<BorrowedFd<'a>, Errno> {
    if fd < 0 {
        return Err(Errno::EBADF);
    }
    // SAFETY: the number is not -1. The host of a checker keeps it open until its call has returned. If the
    // host closes it nevertheless, the kernel reports EBADF, or acts on the file that has the number by then:
    // fcntl and fstat touch no memory of this process but the caller's own `struct stat`.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

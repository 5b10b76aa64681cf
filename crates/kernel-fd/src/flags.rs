// SPDX-License-Identifier: LGPL-2.0-or-later

//! The status flags of an open file description (`O_DIRECT`, `O_NONBLOCK`, …).
//!
//! The flags belong to the description: every descriptor duplicated from the same `open` sees a
//! change.

#![forbid(unsafe_code)]

use crate::Errno;
use crate::borrow::borrow;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::os::fd::RawFd;

/// The access mode and status flags of `fd` (`F_GETFL`).
///
/// # Errors
/// `EBADF` when `fd` is not open.
pub fn status_flags(fd: RawFd) -> Result<i32, Errno> {
    Ok(fcntl(borrow(fd)?, FcntlArg::F_GETFL)?)
}

/// Sets the status flags of `fd` (`F_SETFL`); the kernel ignores the access mode in `flags`.
///
/// # Errors
/// `EBADF` when `fd` is not open, `EINVAL` when `flags` has `O_DIRECT` and the file has no direct I/O.
pub fn set_status_flags(fd: RawFd, flags: i32) -> Result<(), Errno> {
    fcntl(
        borrow(fd)?,
        FcntlArg::F_SETFL(OFlag::from_bits_retain(flags)),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn changes_are_visible_and_refusals_reported() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let fd = null.as_raw_fd();
        let before = status_flags(fd).unwrap();
        set_status_flags(fd, before | libc::O_NONBLOCK).unwrap();
        assert_eq!(status_flags(fd), Ok(before | libc::O_NONBLOCK));
        assert_eq!(
            set_status_flags(fd, before | libc::O_DIRECT),
            Err(Errno(libc::EINVAL))
        );
        assert_eq!(status_flags(-1), Err(Errno(libc::EBADF)));
        assert_eq!(set_status_flags(-1, 0), Err(Errno(libc::EBADF)));
    }
}

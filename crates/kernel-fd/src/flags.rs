//! The status flags of an open file description (`O_DIRECT`, `O_NONBLOCK`, …).
//!
//! The flags belong to the description: every descriptor duplicated from the same `open` sees a
//! change.

use crate::Errno;
use std::os::fd::RawFd;

/// The access mode and status flags of `fd` (`F_GETFL`).
///
/// # Errors
/// `EBADF` when `fd` is not open.
pub fn status_flags(fd: RawFd) -> Result<i32, Errno> {
    // SAFETY: F_GETFL takes no third argument and touches no memory of ours.
    match unsafe { libc::fcntl(fd, libc::F_GETFL) } {
        flags if flags < 0 => Err(Errno::last()),
        flags => Ok(flags),
    }
}

/// Sets the status flags of `fd` (`F_SETFL`); the kernel ignores the access mode in `flags`.
///
/// # Errors
/// `EBADF` when `fd` is not open, `EINVAL` when the file has no direct I/O and `flags` asks for it.
pub fn set_status_flags(fd: RawFd, flags: i32) -> Result<(), Errno> {
    // SAFETY: F_SETFL takes an int and touches no memory of ours.
    match unsafe { libc::fcntl(fd, libc::F_SETFL, flags) } {
        answer if answer < 0 => Err(Errno::last()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_change_is_seen_and_a_refusal_reported() {
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

//! A second descriptor for an open file.

use crate::Errno;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Duplicates `fd` with the close-on-exec flag set. The duplicate refers to the same open file, whatever
/// becomes of the number `fd`, and is closed on drop.
///
/// # Errors
/// `EBADF` when `fd` is not open, `EMFILE` when the process may not open another descriptor.
pub fn duplicate(fd: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: F_DUPFD_CLOEXEC takes an int, the lowest number to use, and touches no memory.
    match unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) } {
        number if number < 0 => Err(Errno::last()),
        // SAFETY: the kernel has just made this descriptor for this call, so nothing else owns it.
        number => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stat;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_duplicate_outlives_the_number_it_was_made_of() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let copy = duplicate(null.as_raw_fd()).unwrap();
        drop(null);
        assert_eq!(stat(copy.as_raw_fd()).unwrap().minor(), 3);
        assert_eq!(duplicate(-1).unwrap_err(), Errno(libc::EBADF));
    }
}

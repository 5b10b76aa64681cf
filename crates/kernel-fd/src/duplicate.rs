//! A second descriptor for an open file.

use crate::Errno;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// The first number behind the standard streams. A process may have closed those and still write there: that
/// must not end up on a device.
const FIRST: libc::c_int = 3;

/// Duplicates `fd` with the close-on-exec flag set. The duplicate refers to the same open file, whatever
/// becomes of the number `fd`, and is closed on drop. It does not get the number of a standard stream.
///
/// # Errors
/// `EBADF` when `fd` is not open, `EMFILE` when the process may not open another descriptor.
pub fn duplicate(fd: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: F_DUPFD_CLOEXEC takes an int, the lowest number to use, and touches no memory.
    match unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, FIRST) } {
        number if number < 0 => Err(match Errno::last() {
            // The limit is not above the lowest number.
            Errno(libc::EINVAL) => Errno(libc::EMFILE),
            errno => errno,
        }),
        // SAFETY: the kernel has just made this descriptor for this call, so nothing else owns it.
        number => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stat;
    use std::os::fd::AsRawFd;
    use std::process::Command;

    #[test]
    fn a_duplicate_is_no_standard_stream() {
        const NAME: &str = "duplicate::tests::a_duplicate_is_no_standard_stream";
        const INSIDE: &str = "KERNEL_FD_TEST_DUPLICATE";
        if std::env::var_os(INSIDE).is_none() {
            let test = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", NAME])
                .env(INSIDE, "")
                .output();
            assert!(test.unwrap().status.success());
            return;
        }
        let null = std::fs::File::open("/dev/null").unwrap();
        // SAFETY: closes the standard input of a process that does not read from it.
        unsafe { libc::close(0) };
        assert!(duplicate(null.as_raw_fd()).unwrap().as_raw_fd() > 2);
    }

    #[test]
    fn a_duplicate_outlives_the_number_it_was_made_of() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let copy = duplicate(null.as_raw_fd()).unwrap();
        drop(null);
        assert_eq!(stat(copy.as_raw_fd()).unwrap().minor(), 3);
        assert_eq!(duplicate(-1).unwrap_err(), Errno(libc::EBADF));
    }
}

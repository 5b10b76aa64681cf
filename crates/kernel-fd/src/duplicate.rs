// SPDX-License-Identifier: LGPL-2.0-or-later

//! A second descriptor for an open file.

#![forbid(unsafe_code)]

use crate::Errno;
use crate::borrow::borrow;
use std::os::fd::{OwnedFd, RawFd};

/// Duplicates `fd` with the close-on-exec flag set. The duplicate refers to the same open file, whatever
/// becomes of the number `fd`, and is closed on drop.
///
/// Its number is above those of the standard streams (the standard library asks for 3 and up): a process may
/// have closed these and still write to them, which must not end up on a device.
///
/// # Errors
/// `EBADF` when `fd` is not open, `EMFILE` when the process may not open another descriptor.
pub fn duplicate(fd: RawFd) -> Result<OwnedFd, Errno> {
    borrow(fd)?
        .try_clone_to_owned()
        .map_err(|error| match error.raw_os_error() {
            // The limit is not above the lowest number that was asked for.
            Some(libc::EINVAL) => Errno(libc::EMFILE),
            errno => Errno(errno.unwrap_or(0)),
        })
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
        nix::unistd::close(0).unwrap();
        assert!(duplicate(null.as_raw_fd()).unwrap().as_raw_fd() > 2);
    }

    #[test]
    fn a_duplicate_outlives_the_number_it_was_made_from() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let copy = duplicate(null.as_raw_fd()).unwrap();
        drop(null);
        assert_eq!(stat(copy.as_raw_fd()).unwrap().minor(), 3);
        assert_eq!(duplicate(-1).unwrap_err(), Errno(libc::EBADF));
    }
}

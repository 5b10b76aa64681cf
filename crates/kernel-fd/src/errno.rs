// SPDX-License-Identifier: LGPL-2.0-or-later

//! The error numbers of the kernel.

#![forbid(unsafe_code)]

use crate::Strerror;
use std::{fmt, io};

/// An error number as `errno` holds it: positive, for example `libc::EAGAIN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// The descriptor is not open.
    pub const EBADF: Errno = Errno(libc::EBADF);

    /// The value of `errno`, which the last failed call of this thread has set.
    pub fn last() -> Errno {
        // The standard library reads errno without allocating.
        Errno(io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }
}

/// The text of `strerror` and the number, as `std::io::Error` shows them, but without allocating.
impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (os error {})", Strerror(*self), self.0)
    }
}

impl std::error::Error for Errno {}

/// nix has no value for numbers that it does not know; `errno` still holds those.
impl From<nix::errno::Errno> for Errno {
    fn from(errno: nix::errno::Errno) -> Self {
        match errno {
            nix::errno::Errno::UnknownErrno => Errno::last(),
            known => Errno(known as i32),
        }
    }
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        io::Error::from_raw_os_error(errno.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_shown_as_the_standard_library_shows_it() {
        for number in [0, 1, libc::EBADF, libc::EAGAIN, 133, 4096, -1, i32::MIN] {
            let expected = io::Error::from_raw_os_error(number).to_string();
            assert_eq!(Errno(number).to_string(), expected);
        }
    }
}

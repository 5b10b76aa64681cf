//! The error numbers of the kernel.

use std::{fmt, io};

/// An error number as `errno` holds it: positive, for example `libc::EAGAIN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// What the calling thread's last failed call left in `errno`.
    pub fn last() -> Errno {
        // The standard library reads errno without allocating.
        Errno(io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }
}

/// The text of `strerror` and the number.
impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from(*self).fmt(f)
    }
}

impl std::error::Error for Errno {}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        io::Error::from_raw_os_error(errno.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_text_and_number() {
        let shown = Errno(libc::EBADF).to_string();
        assert!(
            shown.contains("Bad file descriptor") && shown.contains('9'),
            "{shown}"
        );
    }
}

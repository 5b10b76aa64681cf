// SPDX-License-Identifier: LGPL-2.0-or-later

//! The text of an error number.

use crate::Errno;
use std::ffi::CStr;
use std::fmt;

/// Shows an error number as the text of `strerror`, without the number and without allocating.
#[derive(Clone, Copy, Debug)]
pub struct Strerror(pub Errno);

impl fmt::Display for Strerror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; 128];
        // SAFETY: the pointer and the length are those of a local buffer; the C library writes a string
        // with its final NUL within that length.
        unsafe { libc::strerror_r(self.0.0, buffer.as_mut_ptr().cast(), buffer.len()) };
        let text = CStr::from_bytes_until_nul(&buffer).unwrap_or_default();
        f.write_str(text.to_str().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_that_of_the_c_library() {
        assert_eq!(
            Strerror(Errno(libc::EBADF)).to_string(),
            "Bad file descriptor"
        );
        assert!(Strerror(Errno(-1)).to_string().contains("-1"));
    }
}

//! The standard error stream, kept from the terminal and read back: cciss_tur writes to it.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// While this lives, what is written to standard error is kept.
#[derive(Debug)]
pub(crate) struct Stderr {
    kept: File,
    before: OwnedFd,
}

impl Stderr {
    /// Begins.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn keep() -> std::io::Result<Stderr> {
        // SAFETY: the name is a string; both descriptors are new and owned by nobody else.
        let (kept, before) = unsafe {
            let kept = checked(libc::memfd_create(c"stderr".as_ptr(), libc::MFD_CLOEXEC))?;
            let kept = File::from_raw_fd(kept);
            let before = OwnedFd::from_raw_fd(checked(libc::dup(2))?);
            checked(libc::dup2(kept.as_raw_fd(), 2))?;
            (kept, before)
        };
        Ok(Stderr { kept, before })
    }

    /// What was written since the last call.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn take(&mut self) -> std::io::Result<String> {
        let mut bytes = Vec::new();
        self.kept.rewind()?;
        self.kept.read_to_end(&mut bytes)?;
        self.kept.set_len(0)?;
        self.kept.rewind()?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Drop for Stderr {
    fn drop(&mut self) {
        // SAFETY: both descriptors are open.
        unsafe { libc::dup2(self.before.as_raw_fd(), 2) };
    }
}

fn checked(result: i32) -> std::io::Result<i32> {
    if result < 0 {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

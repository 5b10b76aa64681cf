// SPDX-License-Identifier: LGPL-2.0-or-later

//! The standard error stream, kept from the terminal and read back: cciss_tur writes to it.

#![forbid(unsafe_code)]

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{dup, dup2_stderr};
use std::fs::File;
use std::io::{Read, Seek, stderr};
use std::os::fd::OwnedFd;

/// While this exists, what is written to standard error is kept.
#[derive(Debug)]
pub(crate) struct Stderr {
    kept: File,
    before: OwnedFd,
}

impl Stderr {
    /// Redirects standard error into a file until the value is dropped.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn keep() -> std::io::Result<Stderr> {
        let kept = File::from(memfd_create("stderr", MFdFlags::MFD_CLOEXEC)?);
        let before = dup(stderr())?;
        dup2_stderr(&kept)?;
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
        // A descriptor that was standard error before can be so again.
        let _ = dup2_stderr(&self.before);
    }
}

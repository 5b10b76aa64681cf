// SPDX-License-Identifier: GPL-2.0-or-later

//! What cciss_tur writes to the standard error stream.

#![forbid(unsafe_code)]

use checkers_core::LogRecord;
use kernel_fd::Stderr;
use sg_io::{Errno, Strerror};
use std::fmt::{self, Write};

/// Lines for the standard error stream, where upstream's checker writes them, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CcissLogRecord {
    /// The controller did not report which volume this is.
    NoVolume(Errno),
    /// The controller did not take the command.
    NotSent(Errno),
}

impl CcissLogRecord {
    /// Writes the lines to `to`.
    ///
    /// # Errors
    /// The error of `to`.
    pub fn write(&self, mut to: impl Write) -> fmt::Result {
        match self {
            CcissLogRecord::NoVolume(errno) => {
                let text = Strerror(*errno);
                writeln!(to, "Error: : {text}")?;
                writeln!(to, "cciss TUR  failed in CCISS_GETLUNINFO: {text}")
            }
            CcissLogRecord::NotSent(errno) => {
                writeln!(to, "cciss TUR  failed: {}", Strerror(*errno))
            }
        }
    }
}

impl LogRecord for CcissLogRecord {
    fn emit(&self) {
        // The stream takes everything, and a daemon without one loses nothing but these lines.
        let _ = self.write(Stderr::new());
    }
}

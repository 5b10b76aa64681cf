// SPDX-License-Identifier: LGPL-2.0-or-later

//! The standard error stream, for code inside a daemon.

#![forbid(unsafe_code)]

use std::fmt;

/// How much of a line is collected before it is written, in bytes.
const CAPACITY: usize = 256;

/// Writes `text` to the standard error stream. Errors are ignored; what the stream does not take in one
/// `write` is lost.
///
/// The lock of `std::io::stderr` is avoided, since it needs a thread-local variable: the dynamic linker
/// allocates those of a library that was loaded late, and ends the process when it cannot.
pub fn write_to_stderr(text: &[u8]) {
    let _ = nix::unistd::write(std::io::stderr(), text);
}

/// Formatted text for the standard error stream, with one `write` for each line of up to 256 bytes. Does not
/// allocate and never fails.
pub struct Stderr {
    line: [u8; CAPACITY],
    length: usize,
}

impl Stderr {
    /// A stream with an empty line.
    pub const fn new() -> Stderr {
        Stderr {
            line: [0; CAPACITY],
            length: 0,
        }
    }

    fn flush(&mut self) {
        write_to_stderr(self.line.get(..self.length).unwrap_or_default());
        self.length = 0;
    }
}

impl Default for Stderr {
    fn default() -> Self {
        Stderr::new()
    }
}

impl fmt::Write for Stderr {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if let Some(place) = self.line.get_mut(self.length) {
                *place = byte;
                self.length += 1;
            }
            if byte == b'\n' || self.length == CAPACITY {
                self.flush();
            }
        }
        Ok(())
    }
}

/// Writes an unfinished line.
impl Drop for Stderr {
    fn drop(&mut self) {
        if self.length > 0 {
            self.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;
    use std::process::Command;

    #[test]
    fn lines_arrive_whole_and_in_order() {
        const INSIDE: &str = "KERNEL_FD_TEST_STDERR";
        let long = "x".repeat(3 * CAPACITY);
        if std::env::var_os(INSIDE).is_some() {
            let mut to = Stderr::new();
            write!(to, "one\ntwo {}\n{long}\n", 2).unwrap();
            write!(to, "no end").unwrap();
            return;
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "stderr::tests::lines_arrive_whole_and_in_order"])
            .arg("--nocapture")
            .env(INSIDE, "")
            .output()
            .unwrap();
        let expected = format!("one\ntwo 2\n{long}\nno end");
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    }
}

//! The standard error stream, for code inside a daemon.

use std::fmt;

/// How much of a line is collected before it is written, in bytes.
const CAPACITY: usize = 256;

/// Writes `text` to the standard error stream; without one, or with one that takes less, the rest is
/// lost.
///
/// Not by `std::io::stderr`, whose lock needs a thread-local variable: the dynamic linker allocates
/// those of a library that was loaded late, and ends the process when it cannot.
pub fn write_to_stderr(text: &[u8]) {
    // SAFETY: the pointer and the length are those of a slice, which outlives the call.
    unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
}

/// Formatted text for the standard error stream, a write for each line of up to 256 bytes. Needs no
/// memory, and never fails.
pub struct Stderr {
    line: [u8; CAPACITY],
    length: usize,
}

impl Stderr {
    /// A stream with nothing collected.
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

/// Writes what has no end of line yet.
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

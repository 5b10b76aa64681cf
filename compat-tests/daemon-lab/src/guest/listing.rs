// SPDX-License-Identifier: LGPL-2.0-or-later
//! `multipath -ll`, which checks the paths itself and waits for the results.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use anyhow::{Result, ensure};

use super::disk::Address;

/// The checker state of a path that is missing in the output.
const MISSING: &str = "missing";

/// A running `multipath -ll`. It is killed when dropped.
pub(super) struct Listing(Child);

impl Listing {
    pub(super) fn start() -> Result<Listing> {
        let mut multipath = Command::new("multipath");
        multipath
            .arg("-ll")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Ok(Listing(multipath.spawn()?))
    }

    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// The names of the checker states of both paths, or "missing".
    ///
    /// # Errors
    /// When the program has not ended.
    pub(super) fn checker_states(&mut self, paths: &[Address; 2]) -> Result<[String; 2]> {
        ensure!(self.has_ended(), "multipath -ll does not end");
        let mut text = String::new();
        if let Some(stdout) = &mut self.0.stdout {
            stdout.read_to_string(&mut text)?;
        }
        Ok(paths.each_ref().map(|path| checker_state(&text, path)))
    }
}

/// Parses the line of a path: address, kernel name, numbers, dm state, checker state, SCSI state.
fn checker_state(text: &str, path: &Address) -> String {
    let of_line = |line: &str| -> Option<String> {
        let mut words = line.split_whitespace().skip_while(|word| !path.is(word));
        let _address_name_numbers_dm = (words.next()?, words.next()?, words.next()?, words.next()?);
        let mut words: Vec<&str> = words.collect();
        let _scsi_state = words.pop()?;
        Some(words.join(" "))
    };
    let state = text.lines().find_map(of_line);
    state.unwrap_or_else(|| MISSING.to_owned())
}

impl Drop for Listing {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checker_state_of_a_path_is_found_in_a_listing() {
        let text = "mpatha (lab-disk) dm-0 Linux,scsi_debug\n\
                    size=64M features='1 queue_if_no_path' hwhandler='0' wp=rw\n\
                    `-+- policy='service-time 0' prio=1 status=active\n  \
                      |- 0:0:0:0 sda 8:0  active ready running\n  \
                      `- 1:0:0:0 sdb 8:16 failed i/o timeout offline\n";
        let state = |address| checker_state(text, &Address::new(address));
        assert_eq!(state("0:0:0:0"), "ready");
        assert_eq!(state("1:0:0:0"), "i/o timeout");
        assert_eq!(state("2:0:0:0"), "missing");
    }
}

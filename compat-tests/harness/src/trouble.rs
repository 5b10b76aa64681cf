// SPDX-License-Identifier: LGPL-2.0-or-later

//! Why something did not work, and whether that is a failure.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a test did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// This machine lacks what the test needs (root, a file system, …): the test counts as not run.
    NotHere(String),
    /// Something failed that must not fail: the test counts as failed.
    Broken(String),
    /// Another program has read the scenario's block device, so reads cannot be attributed to the
    /// checker: the scenario runs again.
    Disturbed,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::NotHere(why) | Trouble::Broken(why) => f.write_str(why),
            Trouble::Disturbed => f.write_str("another program reads the block device"),
        }
    }
}

impl std::error::Error for Trouble {}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Trouble::Broken(error.to_string())
    }
}

/// A result whose error is a [`Trouble`].
pub type Result<T> = std::result::Result<T, Trouble>;

/// Adds to an error of the operating system what was being done.
pub trait Doing<T> {
    /// The same result, with `what` in front of the error's text.
    ///
    /// # Errors
    /// The original one, as [`Trouble::Broken`].
    fn doing(self, what: &str) -> Result<T>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, what: &str) -> Result<T> {
        self.map_err(|error| Trouble::Broken(format!("{what}: {error}")))
    }
}

impl<T> Doing<T> for nix::Result<T> {
    fn doing(self, what: &str) -> Result<T> {
        self.map_err(|error| Trouble::Broken(format!("{what}: {error}")))
    }
}

/// Turns the -1 of a system call into the error in `errno`.
///
/// # Errors
/// `errno`, when `result` is negative.
pub fn os(result: libc::c_int) -> std::io::Result<libc::c_int> {
    if result < 0 {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

//! What every compatibility suite needs: a loader for plugins, `struct checker` of every ABI, what
//! `libmultipath` exports, devices that fail or hang on command, fault injection, and the ledger of
//! differences.

pub mod abi;
pub mod async_plugin;
pub mod checker_struct;
pub mod devices;
pub mod faults;
pub mod host;
pub mod ledger;
pub mod plugin;
pub mod rings;
pub mod state;
pub mod surroundings;
pub mod threads;

use std::fmt;

/// Why a scenario did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// This machine cannot do what the scenario needs (no root, no such file system, …): it counts
    /// as not run.
    NotHere(String),
    /// Something failed that should not have: it counts as a failure.
    Broken(String),
    /// Another program has read the scenario's block device, and so nothing can be said of how many
    /// reads the checker has in flight: the scenario is played again.
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

/// A result whose error says whether it is the machine's fault or ours.
pub type Result<T> = std::result::Result<T, Trouble>;

/// Names what was being done when an operating system call failed.
pub trait Doing<T> {
    /// The same result, with `what` in front of the error's text.
    ///
    /// # Errors
    /// The one that was there before, as [`Trouble::Broken`].
    fn doing(self, what: &str) -> Result<T>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, what: &str) -> Result<T> {
        self.map_err(|error| Trouble::Broken(format!("{what}: {error}")))
    }
}

/// The result of a system call that answers -1 and sets `errno`.
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

//! What every checker is.

use crate::{Call, MessageTable, Verdict, memory::OutOfMemory};
use std::fmt;

/// Why an instance could not be made. The host then leaves the path without a checker and tries
/// again later; the reason has been logged where C logs one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitError {
    /// No memory for the instance.
    OutOfMemory,
    /// The kernel refused; the value is an `errno`.
    Os(i32),
    /// The device is not one this checker can look at; the text says why.
    Unsuitable(&'static str),
}

impl From<OutOfMemory> for InitError {
    fn from(_: OutOfMemory) -> Self {
        InitError::OutOfMemory
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InitError::OutOfMemory => f.write_str("out of memory"),
            InitError::Os(errno) => std::io::Error::from_raw_os_error(*errno).fmt(f),
            InitError::Unsuitable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for InitError {}

/// A path checker: one value per path.
///
/// Calls on one instance never overlap. In [`Mode::Async`](crate::Mode::Async) no call may wait for
/// the device, whatever state the device is in.
pub trait Checker: Sized + Send + 'static {
    /// The name by which configuration files and `libcheck<name>.so` know the checker.
    const NAME: &'static str;
    /// The checker's own messages, from id 100 on.
    const MESSAGES: MessageTable;
    /// Whether the checker looks at [`Call::map`].
    const USES_MAP: bool = false;

    /// Makes the instance for the path in `call`.
    ///
    /// # Errors
    /// When the path cannot be checked; everything done so far has been undone.
    fn init(call: &mut Call) -> Result<Self, InitError>;

    /// Looks at the path: the verdict, or [`Pending`](crate::PathState::Pending) when it is not
    /// known yet.
    fn check(&mut self, call: &mut Call) -> Verdict;

    /// Collects the verdict of a check that was pending.
    fn pending(&mut self, call: &mut Call) -> Verdict;

    /// Whether a check was started and nobody has looked for its verdict yet, so that a short wait
    /// is worth while.
    fn need_wait(&self) -> bool;

    /// Ends the instance. What the kernel still works on is left behind safely.
    fn free(self, call: &Call);

    /// Gives back what all instances shared and nobody uses any more.
    fn reset() {}
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! How a scenario names what it drives: instances, files that hang, and what happens during a call.
#![forbid(unsafe_code)]

use harness::devices::hanging::Answer;
use std::time::Duration;

/// One instance of the checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(pub(super) usize);

/// A file whose reads hang on command; see [`harness::devices::hanging`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gate(pub(crate) u64);

/// What happens some time after the beginning of a call.
pub(super) enum Event {
    /// The gate lets its reads go; how they end.
    LetGo(Duration, Gate, Answer),
    /// This thread gets a signal.
    Interrupt(Duration),
}

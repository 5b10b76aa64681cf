// SPDX-License-Identifier: LGPL-2.0-or-later

//! A path as its host keeps it.

#![forbid(unsafe_code)]

use harness::state::State;
use std::ffi::{c_int, c_long, c_short};

/// "No value" in a map's word in 0.15.
pub(crate) const NO_VALUE: c_long = -1;

/// A path as its host keeps it: this program, with a `struct checker` of its own, or 0.15's libmultipath.
pub(crate) trait HostPath {
    /// `libcheck_init`.
    fn init(&mut self) -> c_int;

    /// Repeats the preparation of upstream 0.15 with a valid descriptor, since the host's own call passes -1
    /// (R6).
    fn prepare_as_meant(&self) {}

    /// Gives the path a map, and the plugin the chance to make a value in it.
    fn join_map(&mut self, with_value: bool);

    /// The map's value, if there is one.
    fn map_value(&self) -> Option<c_long>;

    /// Sets the map's value, as another path of the map would; in 0.15 that is 0 or 1.
    fn set_map_value(&mut self, value: c_int);

    /// `msgid`.
    fn message(&self) -> c_short;

    /// Sets `msgid` before a check. libmultipath does so itself, with 0.
    fn set_message(&mut self, _id: c_short) {}

    /// The message that upstream's function returned and the host may not pass on (A8). `None` where the two
    /// are the same.
    fn hidden_message(&self) -> Option<c_short> {
        None
    }

    /// `libcheck_check`. The host stores the state.
    fn check(&mut self) -> State;

    /// `libcheck_pending`, if the host's ABI has that and a check is in flight.
    fn pending(&mut self) -> Option<State>;

    /// `libcheck_need_wait`, likewise.
    fn need_wait(&mut self) -> bool;

    /// `libcheck_free`. Returns whether `context` is NULL afterwards, as far as it is the plugin's.
    fn free(self: Box<Self>) -> bool;
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Path states, as hosts number and name them.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};
use std::ffi::c_int;
use std::fmt;

/// A path state; any number, since plugins can return any.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[repr(transparent)]
pub struct State(pub c_int);

impl State {
    /// `PATH_WILD`
    pub const WILD: State = State(0);
    /// `PATH_UNCHECKED`
    pub const UNCHECKED: State = State(1);
    /// `PATH_DOWN`
    pub const DOWN: State = State(2);
    /// `PATH_UP`
    pub const UP: State = State(3);
    /// `PATH_SHAKY`
    pub const SHAKY: State = State(4);
    /// `PATH_GHOST`
    pub const GHOST: State = State(5);
    /// `PATH_PENDING`
    pub const PENDING: State = State(6);
    /// `PATH_TIMEOUT`
    pub const TIMEOUT: State = State(7);
    /// `PATH_REMOVED`
    pub const REMOVED: State = State(8);
    /// `PATH_DELAYED`
    pub const DELAYED: State = State(9);
    /// `PATH_DISCONNECTED`, since 0.14.0
    pub const DISCONNECTED: State = State(10);

    /// What `checker_state_name` returns for the state, `None` for a number that no release knows.
    pub fn name(self) -> Option<&'static str> {
        let name = match self {
            State::WILD => "wild",
            State::UNCHECKED => "unchecked",
            State::DOWN => "down",
            State::UP => "up",
            State::SHAKY => "shaky",
            State::GHOST => "ghost",
            State::PENDING => "pending",
            State::TIMEOUT => "timeout",
            State::REMOVED => "removed",
            State::DELAYED => "delayed",
            State::DISCONNECTED => "disconnected",
            _ => return None,
        };
        Some(name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "state {}", self.0),
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

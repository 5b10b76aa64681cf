// SPDX-License-Identifier: LGPL-2.0-or-later

//! States and messages.

#![forbid(unsafe_code)]

/// The state of a path, with its number in the checker ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of multipath-tools")]
pub enum State {
    Wild = 0,
    Unchecked = 1,
    Down = 2,
    Up = 3,
    Shaky = 4,
    Ghost = 5,
    Pending = 6,
    Timeout = 7,
    Disconnected = 10,
}

/// What a check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The state.
    pub state: State,
    /// The message id; `None` leaves the message as it was.
    pub message: Option<i16>,
}

impl Verdict {
    /// Up, "reports path is up".
    pub const UP: Verdict = Verdict::new(State::Up, 4);
    /// Down, "reports path is down".
    pub const DOWN: Verdict = Verdict::new(State::Down, 5);
    /// Ghost, "reports path is ghost".
    pub const GHOST: Verdict = Verdict::new(State::Ghost, 6);
    /// Wild, "doesn't support path".
    pub const UNSUPPORTED: Verdict = Verdict::new(State::Wild, 7);
    /// Wild, "no usable fd".
    pub const NO_FD: Verdict = Verdict::new(State::Wild, 2);
    /// Disconnected, "disconnected". Hosts before 0.14 get [`Verdict::DOWN`].
    pub const DISCONNECTED: Verdict = Verdict::new(State::Disconnected, 8);

    const fn new(state: State, message: i16) -> Verdict {
        Verdict {
            state,
            message: Some(message),
        }
    }

    /// A state with the message at `index` of the checker's own.
    pub(crate) const fn own(state: State, index: i16) -> Verdict {
        Verdict::new(state, 100 + index)
    }

    /// A state without a message.
    pub(crate) const fn silent(state: State) -> Verdict {
        Verdict {
            state,
            message: None,
        }
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The ranges of releases that share an ABI.

#![forbid(unsafe_code)]

use checkers_core::{Delivery, PathState, Verdict};
use std::ffi::c_int;

/// The checker ABI of a range of multipath-tools releases, named after the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// 0.7.9 to 0.10.x: `check` returns the verdict.
    V0_7_9,
    /// 0.11.0 to 0.13.x: `pending` and `need_wait`, and a `path_state` in the struct.
    V0_11,
    /// 0.14.x: as 0.11.0, with the state DISCONNECTED.
    V0_14,
    /// 0.15.0 and later: the map's value is an argument instead of a member.
    V0_15,
}

impl Abi {
    /// The ABI that `libcheck_assume_abi` calls by this letter: `'B'`, `'C'` or `'D'`. `None` for any
    /// other number. (0.14's has no letter: a program without libmultipath takes 0.11's or 0.15's.)
    pub fn from_letter(letter: c_int) -> Option<Abi> {
        match u8::try_from(letter) {
            Ok(b'B') => Some(Abi::V0_7_9),
            Ok(b'C') => Some(Abi::V0_11),
            Ok(b'D') => Some(Abi::V0_15),
            _ => None,
        }
    }

    /// How the host gets the verdict of an asynchronous check.
    pub fn delivery(self) -> Delivery {
        match self {
            Abi::V0_7_9 => Delivery::InCheck,
            Abi::V0_11 | Abi::V0_14 | Abi::V0_15 => Delivery::Pending,
        }
    }

    /// Whether hosts with this ABI have a name for `state`.
    pub fn has_state(self, state: PathState) -> bool {
        state != PathState::Disconnected || matches!(self, Abi::V0_14 | Abi::V0_15)
    }

    /// The number of generic message ids that hosts with this ABI resolve.
    pub fn generic_messages(self) -> usize {
        match self {
            Abi::V0_7_9 | Abi::V0_11 => 8,
            Abi::V0_14 => 9,
            Abi::V0_15 => 11,
        }
    }

    /// Returns `verdict` with a state that the host has. Hosts before 0.14.0 use DISCONNECTED (10) as an
    /// index into tables that end at 9, so they get DOWN, which their own checkers return for such a unit.
    pub fn adapt(self, verdict: Verdict) -> Verdict {
        if self.has_state(verdict.state) {
            verdict
        } else {
            Verdict::DOWN
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disconnected_is_reported_only_to_hosts_that_have_the_state() {
        for abi in [Abi::V0_7_9, Abi::V0_11] {
            assert_eq!(abi.adapt(Verdict::DISCONNECTED), Verdict::DOWN);
            assert_eq!(abi.adapt(Verdict::GHOST), Verdict::GHOST);
        }
        for abi in [Abi::V0_14, Abi::V0_15] {
            assert_eq!(abi.adapt(Verdict::DISCONNECTED), Verdict::DISCONNECTED);
        }
    }

    #[test]
    fn three_letters_are_known() {
        let known = (-1..=300).filter(|letter| Abi::from_letter(*letter).is_some());
        assert_eq!(known.collect::<Vec<_>>(), b"BCD".map(c_int::from));
    }
}

//! Which form of the checker ABI a host speaks.

use checkers_core::{Delivery, PathState, Verdict};

/// The ABI of a range of multipath-tools releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// 0.7.9 to 0.10.x: `check` gives the verdict.
    B,
    /// 0.11.0 to 0.13.x: `pending` and `need_wait`, a `path_state` in the struct.
    C,
    /// 0.14.x: as C, and the state DISCONNECTED.
    CPrime,
    /// 0.15.0 and later: the map's value is an argument, no longer a member.
    D,
}

impl Era {
    /// How the host comes by the verdict of an asynchronous check.
    pub(crate) fn delivery(self) -> Delivery {
        match self {
            Era::B => Delivery::InCheck,
            Era::C | Era::CPrime | Era::D => Delivery::Pending,
        }
    }

    /// Whether hosts of this era have a name for `state`.
    pub(crate) fn knows(self, state: PathState) -> bool {
        state != PathState::Disconnected || matches!(self, Era::CPrime | Era::D)
    }

    /// How many of the generic message ids hosts of this era resolve.
    pub(crate) fn generic_messages(self) -> usize {
        match self {
            Era::B | Era::C => 8,
            Era::CPrime => 9,
            Era::D => 11,
        }
    }

    /// `verdict` in terms that the host knows. A host before 0.14.0 takes DISCONNECTED (10) for an
    /// index into tables that end at 9; it gets DOWN, as its own checkers say for such a unit.
    pub(crate) fn understood(self, verdict: Verdict) -> Verdict {
        if self.knows(verdict.state) {
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
    fn disconnected_is_shown_only_to_hosts_that_know_it() {
        for era in [Era::B, Era::C] {
            assert_eq!(era.understood(Verdict::DISCONNECTED), Verdict::DOWN);
            assert_eq!(era.understood(Verdict::GHOST), Verdict::GHOST);
        }
        for era in [Era::CPrime, Era::D] {
            assert_eq!(era.understood(Verdict::DISCONNECTED), Verdict::DISCONNECTED);
        }
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later
//! What a scenario expects of a path.

use std::fmt;

use crate::model::{Checker, DmState, PathView};

/// An expected state of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expectation {
    Active,
    Failed,
    Gone,
    /// Active in device-mapper, without a result of the checker.
    Undetermined,
}

impl Expectation {
    /// The state of a healthy path of the lab's disks after the daemon's start.
    pub(super) fn at_start(checker: Checker) -> Expectation {
        match checker {
            _ if checker.supports_generic_disk() => Expectation::Active,
            // The ioctl of cciss_tur fails.
            Checker::CcissTur => Expectation::Failed,
            // The disk rejects the vital product data page. The checker returns WILD, which
            // multipathd ignores.
            _ => Expectation::Undetermined,
        }
    }

    /// True if the path is as expected. `None` is a path that multipathd does not know.
    pub(super) fn is_met(self, view: Option<&PathView>) -> bool {
        match (self, view) {
            (Expectation::Gone, view) => view.is_none(),
            (_, None) => false,
            // The kernel may fail a path before the checker does: both have to agree.
            (Expectation::Active, Some(view)) => view.dm == DmState::Active && view.checker.is_up(),
            (Expectation::Failed, Some(view)) => {
                view.dm == DmState::Failed && view.checker.is_down()
            }
            // PENDING first, WILD at the next poll. multipathd ignores WILD and keeps printing
            // "i/o pending".
            (Expectation::Undetermined, Some(view)) => {
                view.dm == DmState::Active && view.checker.is_unknown()
            }
        }
    }

    /// True if the path is still as expected once it was. The checker state may change while the
    /// state in device-mapper stays.
    pub(super) fn still_holds(self, view: Option<&PathView>) -> bool {
        let dm = view.map(|view| view.dm);
        match self {
            Expectation::Active => dm == Some(DmState::Active),
            Expectation::Failed => dm == Some(DmState::Failed),
            Expectation::Gone | Expectation::Undetermined => self.is_met(view),
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Expectation::Active => "active",
            Expectation::Failed => "failed",
            Expectation::Gone => "gone",
            Expectation::Undetermined => "undetermined",
        })
    }
}

//! What C's checkers are known for: failures that say something about C and nothing about ours.

use crate::cell::{Cell, Whose};
use crate::job::Checker;
use crate::tree::Suite;

struct Known {
    suites: &'static [Suite],
    checker: Checker,
    scenario: &'static str,
    why: &'static str,
}

const KNOWN: &[Known] = &[
    Known {
        suites: &[Suite::Bullseye, Suite::Bookworm, Suite::Trixie],
        checker: Checker::Readsector0,
        scenario: "quiesce",
        why: WAITS,
    },
    Known {
        suites: &[Suite::Bullseye],
        checker: Checker::Readsector0,
        scenario: "quiesce-reconfigure",
        why: WAITS,
    },
];

const WAITS: &str = "the checker loop waits in the read, and the path stays active";

/// Why this scenario may fail in this cell.
pub(crate) fn why(cell: &Cell, scenario: &str) -> Option<&'static str> {
    let known = KNOWN.iter().find(|known| {
        cell.whose == Whose::C
            && known.suites.contains(&cell.suite)
            && known.checker == cell.checker
            && known.scenario == scenario
    });
    known.map(|known| known.why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_ours_is_excused() {
        let mut cell = Cell {
            suite: Suite::Bookworm,
            checker: Checker::Readsector0,
            whose: Whose::C,
        };
        assert!(why(&cell, "quiesce").is_some());
        assert!(why(&cell, "hang").is_none());
        cell.whose = Whose::Ours;
        assert!(why(&cell, "quiesce").is_none());
    }
}

//! What a scenario expects a path to become.

use crate::event::View;

/// Checker states as multipathd prints them.
const UP: [&str; 2] = ["ready", "ghost"];
const DOWN: [&str; 3] = ["faulty", "i/o timeout", "disconnected"];

const UNTOLD: [&str; 2] = ["undef", "i/o pending"];

/// A path as a scenario wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Active,
    Failed,
    Gone,
    /// Known to the kernel as good, but the checker cannot tell.
    Untold,
}

impl Want {
    /// True if the daemon says so.
    pub(super) fn is(self, view: &View) -> bool {
        match self {
            // The kernel may have failed the path before the checker has: both have to say so.
            Want::Active => view.dm == "active" && UP.contains(&view.checker.as_str()),
            Want::Failed => view.dm == "failed" && DOWN.contains(&view.checker.as_str()),
            Want::Gone => view.dev.is_empty(),
            // A checker that does not know a device at once, but after a first "pending", has come
            // too late: the daemon keeps the word it has.
            Want::Untold => view.dm == "active" && UNTOLD.contains(&view.checker.as_str()),
        }
    }

    /// What must not change while a path stays as it is. A check under way changes nothing.
    pub(super) fn still(self, view: &View) -> bool {
        match self {
            Want::Active => view.dm == "active",
            Want::Failed => view.dm == "failed",
            Want::Gone | Want::Untold => self.is(view),
        }
    }

    /// For the timeline.
    pub(super) fn word(self) -> &'static str {
        match self {
            Want::Active => "active",
            Want::Failed => "failed",
            Want::Gone => "gone",
            Want::Untold => "untold",
        }
    }
}

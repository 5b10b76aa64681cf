// SPDX-License-Identifier: LGPL-2.0-or-later
//! The two paths of the disk as multipathd shows them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the disk's two paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum PathId {
    A,
    B,
}

impl PathId {
    pub(crate) const BOTH: [PathId; 2] = [PathId::A, PathId::B];

    /// The element that belongs to this path.
    pub(crate) fn of<T>(self, [a, b]: &[T; 2]) -> &T {
        match self {
            PathId::A => a,
            PathId::B => b,
        }
    }
}

impl fmt::Display for PathId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// One line of `multipathd show paths`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PathView {
    /// Kernel name.
    pub(crate) device: String,
    /// State in device-mapper.
    pub(crate) dm: DmState,
    /// State according to the checker.
    pub(crate) checker: CheckerState,
    /// State of the SCSI device in sysfs: running, offline, …
    pub(crate) scsi: String,
}

impl fmt::Display for PathView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PathView {
            device,
            dm,
            checker,
            scsi,
        } = self;
        write!(f, "{device} {dm} {checker} ({scsi})")
    }
}

/// The state of a path in device-mapper, as multipathd names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DmState {
    Active,
    Failed,
    /// The path is in no map.
    Undef,
}

impl DmState {
    /// The state of this name; multipathd prints `undef` for everything but the other two.
    pub(crate) fn of_name(name: &str) -> DmState {
        match name {
            "active" => DmState::Active,
            "failed" => DmState::Failed,
            _ => DmState::Undef,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            DmState::Active => "active",
            DmState::Failed => "failed",
            DmState::Undef => "undef",
        }
    }
}

impl fmt::Display for DmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A checker state as multipathd prints it: ready, ghost, faulty, shaky, … Names that the lab does
/// not know are kept, so that the comparison shows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct CheckerState(String);

impl CheckerState {
    pub(crate) fn new(name: &str) -> CheckerState {
        CheckerState(name.to_owned())
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// The path can be used.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.name(), "ready" | "ghost")
    }

    /// The path cannot be used.
    pub(crate) fn is_down(&self) -> bool {
        matches!(self.name(), "faulty" | "i/o timeout" | "disconnected")
    }

    /// A check is in flight.
    pub(crate) fn is_pending(&self) -> bool {
        self.name() == "i/o pending"
    }

    /// No check of the path has had a result.
    pub(crate) fn is_unknown(&self) -> bool {
        self.is_pending() || self.name() == "undef"
    }
}

impl fmt::Display for CheckerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

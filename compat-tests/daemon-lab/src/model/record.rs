// SPDX-License-Identifier: LGPL-2.0-or-later
//! The records that a guest sends: one JSON object per line, over its serial line.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::path_view::{PathId, PathView};
use super::scenario::Scenario;
use super::suite::Package;

/// An event and its time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Milliseconds since the guest's program started, on the guest's monotonic clock.
    pub(crate) at: u64,
    #[serde(flatten)]
    pub(crate) event: Event,
}

/// Everything that appears in a timeline.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Event {
    /// The packages in the tree that the guest boots from.
    Tree { packages: Vec<Package> },
    /// The guest is up and its disk exists.
    Ready { kernel: String },
    /// A scenario begins.
    Begin { scenario: Scenario },
    /// A fault is injected.
    Fault { what: String },
    /// A fault is removed.
    Release { what: String },
    /// multipathd shows a path differently than before; `None`: it no longer knows the path.
    Path {
        path: PathId,
        view: Option<PathView>,
    },
    /// An expectation was met or missed.
    Step {
        what: String,
        ok: bool,
        /// Milliseconds since the last fault or release.
        after: u64,
        kind: StepKind,
    },
    /// An operation was timed.
    Took {
        operation: Operation,
        ms: u64,
        completion: Completion,
    },
    /// A count or a duration.
    Figure { name: Figure, value: u64 },
    /// A remark for readers of the timeline.
    Note { text: String },
    /// The scenario, or one step of it, cannot run here.
    NotRun { why: String },
    /// A scenario ends.
    End { scenario: Scenario },
    /// All scenarios have ended; the guest powers off.
    Done,
}

/// What the time of a step measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StepKind {
    /// From the fault until the path is failed.
    Failed,
    /// From the release until the path is active.
    Recovered,
    /// Anything else. Not compared.
    Other,
}

/// A timed operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Operation {
    ListHealthy,
    ListHung,
    ReconfigureHung,
    /// Until the daemon's last log line.
    ShutdownWorkHung,
    /// Until the process is gone.
    ProcessEndHung,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Operation::ListHealthy => "multipath -ll, healthy",
            Operation::ListHung => "multipath -ll, hung",
            Operation::ReconfigureHung => "reconfigure, hung",
            Operation::ShutdownWorkHung => "shutdown work, hung",
            Operation::ProcessEndHung => "process ends, hung",
        })
    }
}

/// How a timed operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Completion {
    Completed,
    /// Completed, but not before a device that it does not need answered again.
    AfterRelease,
    Incomplete,
}

/// Measured values of the daemon and the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Figure {
    /// Threads of the daemon, maximum.
    Threads,
    /// Resident memory in KiB, maximum.
    VmRss,
    /// Locked memory in KiB, maximum.
    VmLck,
    /// Open file descriptors, maximum.
    OpenFds,
    /// `fs.aio-nr` of the guest, maximum.
    AioNr,
    /// The longest time between two ticks of the checker loop, in milliseconds.
    TickGap,
    /// The longest time until a reply to `show paths`, in milliseconds.
    SlowestReply,
    /// The longest time of one I/O through the map, in milliseconds.
    SlowestIo,
}

impl Figure {
    pub(crate) const ALL: [Figure; 8] = [
        Figure::Threads,
        Figure::VmRss,
        Figure::VmLck,
        Figure::OpenFds,
        Figure::AioNr,
        Figure::TickGap,
        Figure::SlowestReply,
        Figure::SlowestIo,
    ];

    /// Column title, with the unit.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Figure::Threads => "threads",
            Figure::VmRss => "VmRSS KiB",
            Figure::VmLck => "VmLck KiB",
            Figure::OpenFds => "open fds",
            Figure::AioNr => "aio-nr",
            Figure::TickGap => "tick gap ms",
            Figure::SlowestReply => "slowest reply ms",
            Figure::SlowestIo => "slowest I/O ms",
        }
    }
}

//! What the guest tells the host: one JSON record a line, over the guest's serial line.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One event and when it happened.
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
    /// What the guest is booted on: names and versions of the suite's packages.
    Tree { packages: Vec<(String, String)> },
    /// The guest is up, its disk is there.
    Ready { kernel: String },
    /// A scenario starts.
    Begin { scenario: String },
    /// The scenario breaks something.
    Fault { what: String },
    /// The scenario repairs what it broke.
    Release { what: String },
    /// multipathd says something new about a path.
    Path { path: Path, view: View },
    /// A path did, or failed to do, what the scenario expects of it.
    Step {
        what: String,
        ok: bool,
        /// Since the last fault or release.
        after: u64,
        kind: StepKind,
    },
    /// How long an operation of the scenario took.
    Took {
        what: String,
        ms: u64,
        /// It came to its end.
        ok: bool,
        /// But not before the device it has nothing to do with answered again.
        waited: bool,
    },
    /// A count or a duration worth comparing.
    Figure { name: Figure, value: u64 },
    /// Something a reader of the timeline wants to know.
    Note { text: String },
    /// The scenario, or one step of it, could not be run here.
    NotRun { why: String },
    /// A scenario ends.
    End { scenario: String },
    /// Every scenario asked for has ended; the guest powers off.
    Done,
}

/// Which of the disk's two paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Path {
    A,
    B,
}

impl Path {
    pub(crate) const BOTH: [Path; 2] = [Path::A, Path::B];
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// One path as `multipathd show paths` prints it, or its absence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct View {
    /// Kernel name; empty when the daemon does not know the path.
    pub(crate) dev: String,
    /// What device-mapper thinks of the path, as the daemon tells it: active, failed, undef.
    pub(crate) dm: String,
    /// The checker's last word: ready, ghost, faulty, shaky, …
    pub(crate) checker: String,
    /// The SCSI device's state in sysfs: running, offline, …
    pub(crate) device: String,
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dev.is_empty() {
            return f.write_str("gone");
        }
        write!(
            f,
            "{} {} {} ({})",
            self.dev, self.dm, self.checker, self.device
        )
    }
}

/// What the time of a step stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StepKind {
    /// From the fault until the path is failed.
    Failed,
    /// From the release until the path is active.
    Recovered,
    /// Anything else; its time is not compared.
    Other,
}

/// The daemon's figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Figure {
    /// Threads of the daemon; the largest value seen.
    Threads,
    /// Resident memory, KiB; the largest value seen.
    VmRss,
    /// Locked memory, KiB; the largest value seen.
    VmLck,
    /// Open file descriptors; the largest value seen.
    OpenFds,
    /// `fs.aio-nr` of the guest; the largest value seen.
    AioNr,
    /// The longest time between two ticks of the checker loop, in milliseconds.
    TickGap,
    /// The longest time the daemon took to answer `show paths`, in milliseconds.
    SlowestReply,
    /// The longest time one I/O through the map took, in milliseconds.
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

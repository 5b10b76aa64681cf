// SPDX-License-Identifier: LGPL-2.0-or-later

//! What a driver asks of a host process: one [`Request`] per line, as JSON. The reply is a `Result` of
//! the value named at each request or a [`Trouble`](harness::Trouble).

#![forbid(unsafe_code)]

use harness::scsi::Behaviour;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The file name that stands for a fake SCSI device of the host process.
pub const FAKE_SCSI: &str = "fake-scsi";

/// One thing for a host to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Loads a plugin. Replies `()`.
    Load(PathBuf),
    /// Opens this many paths, taking the files in turn. Replies `()`.
    Open {
        /// How many paths.
        paths: usize,
        /// The files; [`FAKE_SCSI`] for a fake SCSI device.
        files: Vec<PathBuf>,
    },
    /// Fake SCSI devices complete commands after this time. Replies `()`.
    Latency(Duration),
    /// A fake SCSI device that hangs completes its command after this time. Replies `()`.
    HangLimit(Duration),
    /// This share of the paths hangs from now on, spread evenly; fake SCSI devices only. Replies `()`.
    Hang {
        /// Out of a hundred.
        percent: usize,
    },
    /// Changes the fake SCSI device of one path. Replies `()`.
    Device {
        /// The path.
        path: usize,
        /// Its new behaviour.
        behaviour: Behaviour,
    },
    /// Instead of a plugin: bare reads, this many per `io_submit`. Replies `()`.
    BareReads {
        /// Requests per system call.
        batch: usize,
    },
    /// Instead of a plugin: the `ioctl` of the fake SCSI devices, called inline. Replies `()`.
    BareCommands,
    /// `libcheck_init` for every path. Replies a [`Duration`].
    InitAll,
    /// `libcheck_free` for every path that has a checker. Replies a [`Duration`].
    FreeAll,
    /// Calls one function. Replies a [`Called`].
    Call(Function),
    /// Rounds of checks. Replies the sum, a [`Round`].
    Rounds {
        /// How many.
        count: u32,
        /// How the host waits for verdicts.
        pace: Pace,
    },
    /// One round. Replies the [`Lap`] of the call that held its thread up the longest.
    LongestCall,
    /// One round. Replies the [`Threads`] it took.
    Threads,
    /// Starts a check of every path. Replies how many are pending, a `u64`.
    Start,
    /// Collects the result of every path. Replies how many are pending, a `u64`.
    Collect,
    /// Replies a [`Usage`].
    Usage,
    /// Starts this many threads, waits until the last one runs, and ends them. Replies a [`Duration`].
    StartThreads(usize),
    /// Gives the process real-time priority. Replies `()`.
    RealTime,
    /// Locks the memory of the process, as multipathd does. Replies `()`.
    LockMemory,
}

/// A function of the plugin, called for one path where it takes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Function {
    /// `libcheck_init` of a path without a checker; the value is 0 if it succeeded.
    Init {
        /// The path.
        path: usize,
        /// The time limit of a check.
        seconds: u32,
    },
    /// `libcheck_check`; the value is the path state.
    Check(usize),
    /// `libcheck_pending`, or another check where the ABI has none; the value is the path state.
    Pending(usize),
    /// `libcheck_need_wait`; the value is 1 for yes.
    NeedWait(usize),
    /// Looks the message id of the last call up in `libcheck_msgtable`; the value is 1 if it has a text.
    Message(usize),
    /// `libcheck_free`.
    Free(usize),
    /// `libcheck_reset`.
    Reset,
    /// `libcheck_reset` and `dlclose`, when every path has been freed. The paths are closed.
    Unload,
}

impl Function {
    /// The function's name, without `libcheck_`.
    pub fn name(self) -> &'static str {
        match self {
            Function::Init { .. } => "init",
            Function::Check(_) => "check",
            Function::Pending(_) => "pending",
            Function::NeedWait(_) => "need_wait",
            Function::Message(_) => "message",
            Function::Free(_) => "free",
            Function::Reset => "reset",
            Function::Unload => "unload",
        }
    }
}

/// The outcome of [`Request::Call`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Called {
    /// See [`Function`].
    pub value: i32,
    /// How long it took.
    pub lap: Lap,
}

/// How long a call took.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Lap {
    /// By the clock.
    pub wall: Duration,
    /// Of that, the time in which the thread ran or slept, but not that in which it was ready to run
    /// while other threads did. A busy wait counts as much as a sleep.
    pub held: Duration,
}

/// How the host waits for verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pace {
    /// It asks again and again. For the time until the last verdict is in.
    Eager,
    /// It sleeps between starting checks and collecting verdicts, as multipathd does. For the processor
    /// time that the plugin needs, without that of asking in vain.
    Daemon,
}

/// What rounds took.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Round {
    /// From the first check to the last verdict.
    pub wall: Duration,
    /// Processor time of all threads.
    pub processor: Duration,
}

/// The threads of a round.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Threads {
    /// How many were started.
    pub created: u64,
    /// How many there were at most, the host's own included.
    pub most: u64,
}

/// What a host process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Resident bytes.
    pub resident: u64,
    /// Locked bytes.
    pub locked: u64,
    /// AIO contexts.
    pub contexts: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
    /// Commands that hang in fake SCSI devices.
    pub hanging: u64,
}

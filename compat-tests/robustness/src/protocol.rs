// SPDX-License-Identifier: LGPL-2.0-or-later

//! What endure asks of a host in the roles `shortage`, `scenes` and `races`, and what the host reports.

#![forbid(unsafe_code)]

use harness::Result;
use harness::abi::Abi;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The first message to a host in the role `shortage`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShortageOrder {
    /// The plugin.
    pub plugin: PathBuf,
    /// A file that completes reads.
    pub file: PathBuf,
    /// A file whose reads hang while endure holds it; `None` for a checker that reads no file.
    pub held_file: Option<PathBuf>,
    /// One refusal until the reset too, and all refusals during the checks only.
    pub long: bool,
}

/// What such a host reports.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ShortageMessage {
    /// The file has to be held; the host waits for a message `()`.
    Hold,
    /// The reads of the file have to complete; the host waits for a message `()`.
    Release,
    /// One case has ended.
    Case(Case, CaseEnd),
    /// All cases have ended.
    End,
}

/// What is refused, to which path, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Case {
    /// What is refused.
    pub refused: Refused,
    /// The path.
    pub setting: Setting,
    /// The number of the first request that is refused.
    pub first: u64,
    /// How many are refused.
    pub repeat: Repeat,
    /// Until when.
    pub span: Span,
}

/// One resource, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Refused {
    /// malloc, calloc, realloc, posix_memalign, mmap.
    Memory,
    /// pthread_create.
    Threads,
    /// dup, fcntl(F_DUPFD…), open.
    Descriptors,
    /// io_setup.
    Contexts,
    /// io_submit.
    Requests,
    /// All of these.
    All,
}

impl Refused {
    /// Each of them.
    pub const EACH: [Refused; 6] = [
        Refused::Memory,
        Refused::Threads,
        Refused::Descriptors,
        Refused::Contexts,
        Refused::Requests,
        Refused::All,
    ];
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Refused::Memory => "memory",
            Refused::Threads => "threads",
            Refused::Descriptors => "descriptors",
            Refused::Contexts => "contexts",
            Refused::Requests => "requests",
            Refused::All => "all of these",
        })
    }
}

/// The device behind the path, and how the host checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Setting {
    /// A device that is up.
    Up,
    /// Likewise, and the host waits for its verdict.
    Sync,
    /// A device that hangs.
    Hung,
    /// A read that is in flight and hangs.
    InFlight,
    /// A device that is up, with another path in the process that hangs.
    Beside,
}

impl Setting {
    /// Each of them.
    pub const EACH: [Setting; 5] = [
        Setting::Up,
        Setting::Sync,
        Setting::Hung,
        Setting::InFlight,
        Setting::Beside,
    ];
}

/// How many requests are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Repeat {
    /// One.
    Once,
    /// That one and all later ones.
    FromThere,
}

/// Until when requests are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Span {
    /// Until the checks are over: this checker has to recover.
    Checks,
    /// Until the path is freed and the plugin reset: the path's next checker has to work.
    UntilReset,
}

/// How a case ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum CaseEnd {
    /// Nothing was lost and nothing left behind.
    Passed(Effect),
    /// Why it failed.
    Failed(String),
}

/// What the refusals cost the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Effect {
    /// Nothing.
    None,
    /// At least one check reported UNCHECKED.
    Unchecked,
    /// `libcheck_init` failed.
    InitFailed,
}

/// The first message to a host in the role `scenes`. The reply is a `Result<String>`: what was counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SceneOrder {
    /// The plugin.
    pub plugin: PathBuf,
    /// A file that completes reads.
    pub file: PathBuf,
    /// What happens.
    pub scene: Scene,
    /// How often, or for how many rounds.
    pub count: u32,
}

/// What happens to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scene {
    /// Threads check paths while the process forks.
    Fork,
    /// A signal every 100 µs.
    Signals,
    /// The process is stopped while commands are in flight, for less than the time limit.
    Stop,
    /// The process is stopped when commands have completed, for longer than the time limit.
    StopLate,
    /// Threads are cancelled wherever they are.
    Cancel,
    /// Paths come and go while another one hangs and no thread can be started.
    NoThread,
    /// Eight paths, of which one hangs.
    Crowd,
}

/// The first message to a host in the role `races`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RacesOrder {
    /// The plugin, which is told the ABI: this host exports nothing of libmultipath.
    pub plugin: PathBuf,
    /// The ABI.
    pub abi: Abi,
    /// How long the threads run.
    pub span: Duration,
    /// The devices, of which each gets two paths.
    pub devices: Vec<RacesDevice>,
}

/// A device of such a host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum RacesDevice {
    /// A file of endure's, which hangs, fails and completes reads as endure wishes.
    File(PathBuf),
    /// A fake SCSI device, which answers, hangs and goes away.
    FakeScsi,
    /// A pipe, which hangs until something is written to it.
    Pipe,
}

/// What such a host reports.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum RacesMessage {
    /// The threads have ended: files must not hang any more.
    ThreadsEnded,
    /// Everything has come to rest, or not.
    End(Result<String>),
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! A checker that is nothing but "send a command that may block, then classify the reply".

#![forbid(unsafe_code)]

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::{MapMemory, Messages, Seconds, Verdict, process_static};
use std::os::fd::RawFd;

/// A blocking check of a path, which [`Asynchronous`](crate::Asynchronous) turns into a
/// [`Checker`](crate::Checker).
///
/// `setup` and `probe` run on a worker thread (or on the host's own in
/// [`Mode::Sync`](crate::Mode::Sync)). They must not log: they return a [`LogRecord`],
/// which the thread that collects the verdict emits.
pub trait Probe: Sized + Send + Sync + 'static {
    /// The name by which configuration files and `libcheck<name>.so` know the checker.
    const NAME: &'static str;
    /// The checker's own messages, and where the common ones go.
    const MESSAGES: Messages;
    /// Whether [`Probe::setup`] has anything to do.
    const HAS_SETUP: bool = false;
    /// Whether [`Task::map`] matters to the probe.
    const USES_MAP: bool = false;

    /// What one path remembers from one check to the next.
    type Memory: Copy + Default + Send + 'static;
    /// What a run may write to the log; [`NoLogRecord`] when nothing.
    type LogRecord: LogRecord;
    /// The last reply of the device, which explains the verdict.
    type LastReply: Copy + Send + 'static;

    /// Commands that prepare a path, sent once, before its first probe.
    fn setup(_task: &Task<'_, ()>) -> Option<Self::LogRecord> {
        None
    }

    /// Sends the command and classifies the reply.
    fn probe(task: &mut Task<'_, Self::Memory>) -> Outcome<Self>;
}

/// The work order of one run.
#[derive(Clone, Debug)]
pub struct Task<'a, M> {
    /// The descriptor to send commands to.
    pub fd: RawFd,
    /// The time limit of each command.
    pub timeout: Seconds,
    /// The path's memory; changes are kept when the verdict is collected in time.
    pub memory: M,
    map: MapMemory,
    /// The value that the map is to get.
    new_map: Option<i32>,
    cancel: &'a AtomicBool,
}

impl<'a, M> Task<'a, M> {
    /// A task that ends early once `cancel` is set.
    pub fn new(
        fd: RawFd,
        timeout: Seconds,
        memory: M,
        map: MapMemory,
        cancel: &'a AtomicBool,
    ) -> Task<'a, M> {
        Task {
            fd,
            timeout,
            memory,
            map,
            new_map: None,
            cancel,
        }
    }

    /// A task that cannot be cancelled.
    pub fn uncancelled(fd: RawFd, timeout: Seconds, memory: M, map: MapMemory) -> Task<'a, M> {
        process_static! {
            static NEVER: AtomicBool = AtomicBool::new(false);
        }
        Task::new(fd, timeout, memory, map, &NEVER)
    }

    /// The value that the paths of the map share, as it was when the task was made or as it has been
    /// set since.
    pub fn map(&self) -> MapMemory {
        self.new_map.map_or(self.map, MapMemory::Set)
    }

    /// Sets the map's value. The map gets it when the verdict is collected in time, also when the value
    /// is the one that the task began with: another path may have changed it meanwhile.
    pub fn set_map(&mut self, value: i32) {
        self.new_map = Some(value);
    }

    /// What [`Task::set_map`] has set, if anything.
    pub fn new_map(&self) -> Option<i32> {
        self.new_map
    }

    /// Whether the verdict is no longer wanted. To be called before *every* command: the path may have been
    /// freed, and a run for which no descriptor could be duplicated then has a number that may name another
    /// file.
    pub fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::SeqCst)
    }
}

/// What a probe found.
#[derive(Debug)]
pub struct Outcome<P: Probe> {
    /// State and message.
    pub verdict: Verdict,
    /// A line for the log.
    pub record: Option<P::LogRecord>,
    /// The last reply of the device.
    pub last_reply: Option<P::LastReply>,
}

impl<P: Probe> Clone for Outcome<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Probe> Copy for Outcome<P> {}

impl<P: Probe> From<Verdict> for Outcome<P> {
    fn from(verdict: Verdict) -> Self {
        Outcome {
            verdict,
            record: None,
            last_reply: None,
        }
    }
}

/// A log line in typed form, so that a worker can hand it over without allocating.
pub trait LogRecord: Copy + Send + 'static {
    /// Writes the line through `log`.
    fn emit(&self);
}

/// The record of a checker that logs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLogRecord {}

impl LogRecord for NoLogRecord {
    fn emit(&self) {
        match *self {}
    }
}

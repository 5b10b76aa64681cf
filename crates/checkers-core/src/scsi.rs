// SPDX-License-Identifier: LGPL-2.0-or-later

//! SCSI checkers: a name, messages of their own and a decision table.

#![forbid(unsafe_code)]

use crate::{LogRecord, MapMemory, Messages, Outcome, PathState, Probe, Task, Verdict};
use sg_io::{Cancelled, Device, Kernel, LastReply, Transport};

/// A checker that sends SCSI commands and decides by the replies. Every `ScsiProbe` is a [`Probe`] over the
/// kernel's `SG_IO`, so [`Asynchronous`](crate::Asynchronous) turns it into a [`Checker`](crate::Checker).
///
/// ```
/// use checkers_core::{CheckContext, Messages, NoLogRecord, ScsiProbe, Verdict, check_over};
/// # use checkers_core::{MapMemory, Seconds, Task};
/// # use sg_io::{Command, Errno, Reply};
/// use sg_io::{Cancelled, Cdb, Data, Device, Transport};
///
/// /// A path is up when TEST UNIT READY succeeds.
/// enum Ready {}
///
/// impl ScsiProbe for Ready {
///     const NAME: &'static str = "ready";
///     const MESSAGES: Messages = Messages::COMMON;
///     type Memory = ();
///     type LogRecord = NoLogRecord;
///
///     fn check(
///         device: &mut Device<'_, impl Transport>,
///         _context: &mut CheckContext<Self>,
///     ) -> Result<Verdict, Cancelled> {
///         Ok(match device.send(Cdb::TEST_UNIT_READY, Data::None)? {
///             Ok(reply) if !reply.needs_check() => Verdict::UP,
///             _ => Verdict::DOWN,
///         })
///     }
/// }
///
/// // The same table runs over any transport: here over one that accepts every command.
/// # struct Good;
/// # impl Transport for Good {
/// #     fn execute(&self, _fd: i32, _command: &mut Command<'_>) -> Result<Reply, Errno> {
/// #         Ok(Reply::GOOD)
/// #     }
/// #     fn preferred_io(&self, _fd: i32) -> Result<u64, Errno> {
/// #         Ok(512)
/// #     }
/// # }
/// let mut task = Task::uncancelled(3, Seconds(30), (), MapMemory::Absent);
/// assert_eq!(check_over::<Ready>(&Good, &mut task).verdict, Verdict::UP);
/// ```
pub trait ScsiProbe: Sized + Send + Sync + 'static {
    /// The name by which configuration files and `libcheck<name>.so` know the checker.
    const NAME: &'static str;
    /// The checker's own messages, and where the common ones go.
    const MESSAGES: Messages;
    /// Whether [`ScsiProbe::setup`] sends anything.
    const HAS_SETUP: bool = false;
    /// Whether the check uses the value that the paths of a map share.
    const USES_MAP: bool = false;

    /// What one path remembers from one check to the next.
    type Memory: Copy + Default + Send + 'static;
    /// What a check or the setup may write to the log.
    type LogRecord: LogRecord;

    /// Sends the commands that prepare a path, once, before its first check. Returns what to log.
    ///
    /// # Errors
    /// [`Cancelled`], passed on from [`Device::send`].
    fn setup(
        _device: &mut Device<'_, impl Transport>,
    ) -> Result<Option<Self::LogRecord>, Cancelled> {
        Ok(None)
    }

    /// Sends the commands of one check and decides.
    ///
    /// # Errors
    /// [`Cancelled`], passed on from [`Device::send`]: the verdict is not wanted any more.
    fn check(
        device: &mut Device<'_, impl Transport>,
        context: &mut CheckContext<Self>,
    ) -> Result<Verdict, Cancelled>;
}

/// What a check has beside its device, and what it returns beside its verdict.
#[derive(Debug)]
pub struct CheckContext<P: ScsiProbe> {
    /// What the path remembers.
    pub memory: P::Memory,
    map: MapMemory,
    new_map: Option<i32>,
    record: Option<P::LogRecord>,
}

impl<P: ScsiProbe> CheckContext<P> {
    /// The value that the paths of the map share.
    pub fn map(&self) -> MapMemory {
        self.map
    }

    /// Sets the value that the paths of the map share; without a map it has no effect.
    pub fn set_map(&mut self, value: i32) {
        if self.map != MapMemory::Absent {
            self.new_map = Some(value);
        }
    }

    /// Has `record` written to the log when the verdict is collected.
    pub fn log(&mut self, record: P::LogRecord) {
        self.record = Some(record);
    }
}

/// Runs one check of `P` over `transport`. A check that is cancelled returns UNCHECKED without a message.
pub fn check_over<P: ScsiProbe>(
    transport: &impl Transport,
    task: &mut Task<'_, P::Memory>,
) -> Outcome<P> {
    let mut context = CheckContext {
        memory: task.memory,
        map: task.map(),
        new_map: None,
        record: None,
    };
    let cancelled = || task.cancelled();
    let mut device = Device::new(transport, task.fd, task.timeout.as_sg_millis(), &cancelled);
    let decided = P::check(&mut device, &mut context);
    let last_reply = device.last();
    task.memory = context.memory;
    if let Some(value) = context.new_map {
        task.set_map(value);
    }
    let (verdict, record) = match decided {
        Ok(verdict) => (verdict, context.record),
        Err(Cancelled) => (Verdict::silent(PathState::Unchecked), None),
    };
    Outcome {
        verdict,
        record,
        last_reply,
    }
}

/// Runs the setup of `P` over `transport`. Returns what to log, nothing when it is cancelled.
pub fn set_up_over<P: ScsiProbe>(
    transport: &impl Transport,
    task: &Task<'_, ()>,
) -> Option<P::LogRecord> {
    let cancelled = || task.cancelled();
    let mut device = Device::new(transport, task.fd, task.timeout.as_sg_millis(), &cancelled);
    P::setup(&mut device).unwrap_or(None)
}

impl<P: ScsiProbe> Probe for P {
    const NAME: &'static str = <P as ScsiProbe>::NAME;
    const MESSAGES: Messages = <P as ScsiProbe>::MESSAGES;
    const HAS_SETUP: bool = <P as ScsiProbe>::HAS_SETUP;
    const USES_MAP: bool = <P as ScsiProbe>::USES_MAP;

    type Memory = <P as ScsiProbe>::Memory;
    type LogRecord = <P as ScsiProbe>::LogRecord;
    type LastReply = LastReply;

    fn setup(task: &Task<'_, ()>) -> Option<Self::LogRecord> {
        set_up_over::<P>(&Kernel, task)
    }

    fn probe(task: &mut Task<'_, Self::Memory>) -> Outcome<P> {
        check_over(&Kernel, task)
    }
}

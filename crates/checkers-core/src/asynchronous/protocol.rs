// SPDX-License-Identifier: LGPL-2.0-or-later

//! The asynchronous protocol.
//!
//! It is that of multipath-tools' tur checker (0.14): a check is started on a worker, its verdict is collected
//! by a later call, and a worker that does not come back is left alone. What keeps a dead device from delaying
//! anything else:
//!
//! * Once the time limit has passed the path gives the run up: TIMEOUT. The next check may start **one**
//!   further run beside the hung one, in a slot of its own; while both hang, every check is TIMEOUT.
//! * A run that has been given up, or whose path has been freed, sends no further command.
//! * A run that no worker has begun within the time limit says nothing about the path: UNCHECKED, and the
//!   run stays queued. Time in which checks found it queued does not count against the device.

#![forbid(unsafe_code)]

use super::pool::{NoWorker, POOL};
use super::run::{Ended, HeldSlots, Order, Panicked, Progress, Slot, Target};
use super::slot_cache::SlotCache;
use super::spin::Spin;
use crate::memory::OutOfMemory;
use crate::messages::TableOf;
use crate::probe::{LogRecord, Outcome, Probe, Task};
use crate::process_static;
use crate::sync::time::Duration;
use crate::{
    Call, Checker, Delivery, InitError, Initialized, MapMemory, MessageId, MessageTable, Mode,
    PathState, Reported, Verdict,
};
use kernel_fd::fork::Generation;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How long `check` waits for the verdict if the host will not ask again soon
/// ([`Delivery::InCheck`]), and `init` for the end of the setup commands.
const SHORT_WAIT: Duration = Duration::from_millis(1);

process_static! {
    /// Experience with spinning for a verdict.
    static VERDICTS: Spin = Spin::new();
}

/// A [`Probe`] as a [`Checker`].
pub struct Asynchronous<P: Probe> {
    slot: &'static Slot<P>,
    /// An earlier run of this path that has been given up and may still hang.
    hung: Option<&'static Slot<P>>,
    phase: Phase,
    /// That both runs hang has been logged.
    stall_logged: bool,
    /// The setup commands of `slot` have not been sent, or what they had to log has not been emitted. Known
    /// here without the slot's lock, which a fork may leave locked in the child.
    setup_open: bool,
    device: (u32, u32),
    memory: P::Memory,
    last_reply: Option<P::LastReply>,
    /// The process in which the workers have `slot`; `None` when forks cannot be noticed.
    process: Option<Generation>,
}

/// The last second of the monotonic clock in which a run is not late yet. Only whole seconds are compared, as
/// upstream does: a run with the time limit T becomes late between T and T + 1 s after its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    /// By when a worker must have begun: the time limit, counted from the start or a later UNCHECKED.
    begin: u64,
    /// By when the run must have ended: the time limit, counted from the last check that found the run
    /// queued, so that waiting for a thread does not count against the device.
    end: u64,
}

/// The phase of a path: what it still expects of the run in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// There is none whose verdict is wanted.
    Idle,
    /// Its verdict has been neither collected nor given up.
    Running {
        limits: Limits,
        /// A call has asked for the verdict since the start.
        polled: bool,
    },
    /// It was late, and its worker may still hang.
    GivenUp,
}

impl<P: Probe> Asynchronous<P> {
    // Constants, so that the ids are looked up by the compiler.
    const RUNNING: Verdict = Verdict::new(PathState::Pending, P::MESSAGES.running());
    const TIMED_OUT: Verdict = Verdict::new(PathState::Timeout, P::MESSAGES.timed_out());
    const NOT_STARTED: Verdict = Verdict::new(PathState::Unchecked, P::MESSAGES.not_started());

    fn for_path(call: &Call) -> Result<Self, OutOfMemory> {
        let process = Generation::current().ok();
        let mut instance = Asynchronous {
            slot: Slot::<P>::claim()?,
            hung: None,
            phase: Phase::Idle,
            setup_open: P::HAS_SETUP,
            stall_logged: false,
            device: device_number(call.fd),
            memory: P::Memory::default(),
            last_reply: None,
            process,
        };
        if P::HAS_SETUP {
            instance.slot.start_setup(target(call));
            instance.slot.wait(SHORT_WAIT);
            instance.finish_setup();
        }
        Ok(instance)
    }

    /// How many runs have a slot: one for each instance, and one for each run that an instance has left to a
    /// hung worker. Zero when there is no memory to count them.
    pub fn slots_in_use() -> usize {
        POOL.slots::<Slot<P>>().map_or(0, SlotCache::in_use)
    }

    /// The last reply of the device in the last check that ended; `None` before, and when it ended without.
    pub fn last_reply(&self) -> Option<P::LastReply> {
        self.last_reply
    }

    /// The verdict of the run that has ended with `result`.
    fn conclude(&mut self, result: Option<Ended<P>>) -> Reported {
        self.phase = Phase::Idle;
        self.finish_setup();
        let (outcome, map) = match result {
            Some(ended) => {
                self.memory = ended.memory;
                (ended.outcome, ended.map)
            }
            None => (Err(Panicked), None),
        };
        let mut verdict = self.accept(outcome);
        // The host cleared the message before the check, and the start wrote over it. A verdict that
        // leaves the message alone means the host's.
        verdict.message = verdict.message.or(Some(MessageId::NONE));
        let (major, minor) = self.device;
        log::trace!(
            "{major}:{minor} : {} checker finished, state {}",
            P::NAME,
            verdict.state
        );
        Reported { verdict, map }
    }

    fn accept(&mut self, outcome: Result<Outcome<P>, Panicked>) -> Verdict {
        match outcome {
            Ok(Outcome {
                verdict,
                record,
                last_reply,
            }) => {
                self.last_reply = last_reply;
                emit(record);
                verdict
            }
            Err(Panicked) => {
                log::error!("{} checker: internal error, check abandoned", P::NAME);
                Verdict::silent(PathState::Unchecked)
            }
        }
    }

    /// Emits the log record of the setup, once it is over.
    fn finish_setup(&mut self) {
        if !self.setup_open {
            return;
        }
        if let Some(record) = self.slot.finished_setup() {
            self.setup_open = false;
            emit(record);
        }
    }

    /// Sends the setup commands on the host's thread, unless a worker has begun to: then waits for their
    /// end, though not for that of a probe behind them.
    fn set_up_inline(&mut self) {
        while self.setup_open {
            if let Some(Target { fd, timeout }) = self.slot.take_setup() {
                self.setup_open = false;
                let task = Task::uncancelled(fd, timeout, (), MapMemory::Absent);
                emit(catch_unwind(AssertUnwindSafe(|| P::setup(&task))).unwrap_or_default());
            } else {
                self.slot.wait_for_setup();
                self.finish_setup();
            }
        }
    }

    /// Runs the probe on the host's thread. A run in flight goes on and is collected later.
    fn check_inline(&mut self, call: &Call) -> Reported {
        self.set_up_inline();
        let mut task = Task::uncancelled(call.fd, call.timeout, self.memory, call.map);
        let outcome = catch_unwind(AssertUnwindSafe(|| P::probe(&mut task)));
        self.memory = task.memory;
        Reported {
            verdict: self.accept(outcome.map_err(|_| Panicked)),
            map: task.new_map(),
        }
    }

    /// The check of a host that comes back while a run is wanted.
    fn check_again(&mut self, limits: Limits, call: &Call) -> Reported {
        let mut progress = self.slot.progress();
        if let Progress::Ended(result) = progress {
            return self.conclude(result);
        }
        let now = (call.clock)().seconds;
        if now > limits.begin {
            // After the whole process was stopped, the worker may have its reply but not yet the processor.
            crate::sync::thread::yield_now();
            progress = self.slot.progress();
        }
        let (major, minor) = self.device;
        let limits = match progress {
            Progress::Ended(result) => return self.conclude(result),
            Progress::Queued if now > limits.begin => {
                self.phase = running(call, true);
                log::debug!("{major}:{minor} : no thread for {} yet", P::NAME);
                return Self::NOT_STARTED.into();
            }
            Progress::Executing if now > limits.end => {
                self.slot.cancel();
                self.phase = Phase::GivenUp;
                log::debug!("{major}:{minor} : {} checker timeout", P::NAME);
                return Self::TIMED_OUT.into();
            }
            Progress::Queued => Limits {
                end: last_second(now, call),
                ..limits
            },
            Progress::Executing => limits,
        };
        self.phase = Phase::Running {
            limits,
            polled: true,
        };
        log::debug!("{major}:{minor} : {} checker not finished", P::NAME);
        Self::RUNNING.into()
    }

    /// Finds the slot for a new run. The verdict, if any, is the reason not to start one.
    fn prepare_slot(&mut self) -> Result<(), Verdict> {
        self.finish_setup();
        if let Some(hung) = self.hung.filter(|hung| !hung.is_busy()) {
            hung.abandon();
            self.hung = None;
        }
        if self.phase != Phase::GivenUp || !self.slot.is_busy() {
            self.stall_logged = false;
            return Ok(());
        }
        let (major, minor) = self.device;
        if self.hung.is_some() {
            if !self.stall_logged {
                self.stall_logged = true;
                log::info!(
                    "{major}:{minor} : waiting for stalled {} thread to finish",
                    P::NAME
                );
            }
            return Err(Self::TIMED_OUT);
        }
        log::debug!("{major}:{minor} : {} thread not responding", P::NAME);
        let slot = Slot::claim().map_err(|OutOfMemory| Self::NOT_STARTED)?;
        self.hung = Some(std::mem::replace(&mut self.slot, slot));
        self.setup_open = false;
        Ok(())
    }

    fn start(&mut self, call: &Call) -> Reported {
        if let Err(verdict) = self.prepare_slot() {
            return verdict.into();
        }
        self.phase = Phase::Idle;
        let (major, minor) = self.device;
        let order = Order {
            target: target(call),
            memory: self.memory,
            map: call.map,
        };
        if let Err(NoWorker) = self.slot.start_probe(order) {
            log::debug!("{major}:{minor} : failed to start {} thread", P::NAME);
            return Self::NOT_STARTED.into();
        }
        self.phase = running(call, false);
        log::trace!("{major}:{minor} : {} checker starting up", P::NAME);
        if call.delivery == Delivery::InCheck {
            self.slot.spin(&VERDICTS);
            self.slot.wait(SHORT_WAIT);
            return self.poll();
        }
        Self::RUNNING.into()
    }

    /// The verdict if there is one, else "still running"; does not read the clock.
    fn poll(&mut self) -> Reported {
        if let Progress::Ended(result) = self.slot.progress() {
            return self.conclude(result);
        }
        if let Phase::Running { polled, .. } = &mut self.phase {
            *polled = true;
        }
        let (major, minor) = self.device;
        log::trace!("{major}:{minor} : {} checker still running", P::NAME);
        Self::RUNNING.into()
    }

    /// Forgets the runs that a parent process started: its workers do not exist here.
    ///
    /// # Errors
    /// [`OutOfMemory`] when there is no slot for this process.
    fn enter_process(&mut self, call: &Call) -> Result<(), OutOfMemory> {
        if self.process.is_none_or(Generation::is_here) {
            return Ok(());
        }
        self.slot = Slot::claim()?;
        self.hung = None;
        self.phase = Phase::Idle;
        self.process = Generation::current().ok();
        if self.setup_open {
            self.slot.start_setup(target(call));
        }
        Ok(())
    }
}

/// A run that starts now.
fn running(call: &Call, polled: bool) -> Phase {
    let last = last_second((call.clock)().seconds, call);
    Phase::Running {
        limits: Limits {
            begin: last,
            end: last,
        },
        polled,
    }
}

/// The last second within the time limit, counted from the second `start`.
fn last_second(start: u64, call: &Call) -> u64 {
    start.saturating_add(u64::from(call.timeout.0))
}

/// Major and minor number of the device behind `fd`, for log lines; `(0, 0)` when they cannot be read.
fn device_number(fd: RawFd) -> (u32, u32) {
    kernel_fd::stat(fd).map_or((0, 0), |stat| (stat.major(), stat.minor()))
}

fn target(call: &Call) -> Target {
    Target {
        fd: call.fd,
        timeout: call.timeout,
    }
}

fn emit(record: Option<impl LogRecord>) {
    if let Some(record) = record {
        record.emit();
    }
}

impl<P: Probe> Checker for Asynchronous<P> {
    const NAME: &'static str = P::NAME;
    const MESSAGES: MessageTable = TableOf::<P>::TABLE;
    const USES_MAP: bool = P::USES_MAP;

    type Shared = HeldSlots<P>;

    fn lock_shared() -> Result<Self::Shared, OutOfMemory> {
        HeldSlots::new()
    }

    fn init(call: &Call) -> Initialized<Self> {
        Self::for_path(call).map_err(InitError::from).into()
    }

    fn check(&mut self, call: &Call) -> Reported {
        if let Err(OutOfMemory) = self.enter_process(call) {
            return Self::NOT_STARTED.into();
        }
        match (call.mode, self.phase) {
            (Mode::Sync, _) => self.check_inline(call),
            (Mode::Async, Phase::Running { limits, .. }) => self.check_again(limits, call),
            (Mode::Async, Phase::Idle | Phase::GivenUp) => self.start(call),
        }
    }

    fn pending(&mut self, call: &Call) -> Reported {
        if let Err(OutOfMemory) = self.enter_process(call) {
            return Self::idle(call.path_state).into();
        }
        match self.phase {
            Phase::Running { .. } => self.poll(),
            Phase::Idle | Phase::GivenUp => Self::idle(call.path_state).into(),
        }
    }

    fn need_wait(&self) -> bool {
        let unseen = matches!(self.phase, Phase::Running { polled: false, .. });
        unseen && self.process.is_none_or(Generation::is_here) && self.slot.is_busy()
    }

    fn free(self, _call: &Call) {
        if self.process.is_none_or(Generation::is_here) {
            self.slot.abandon();
            if let Some(hung) = self.hung {
                hung.abandon();
            }
        }
    }

    fn reset() {
        POOL.dismiss_idle();
    }
}

//! One path.

use crate::errand;
use crate::group::{Failure, NoGroup, Stage};
use crate::groups::{Place, groups};
use crate::parting;
use crate::waiting::wait;
use checkers_core::memory::try_push;
use checkers_core::pool::POOL;
use checkers_core::{
    Call, Checker, Delivery, InitError, MessageId, MessageTable, Mode, Monotonic, PathState,
    Verdict,
};
use kernel_fd::Errno;
use std::os::fd::RawFd;
use std::time::Duration;

const NOT_AVAILABLE: MessageId = MessageId::plugin(0);
const WAITING: MessageId = MessageId::plugin(1);
const NO_BLOCK_SIZE: MessageId = MessageId::plugin(2);

/// What is read when the kernel does not say how large a block is, and the most that is read of a
/// device whose logical blocks are not larger than this.
const DEFAULT_BLOCK_SIZE: u32 = 4096;

/// What the kernel would say without an AIO context.
const NO_GROUP: Errno = Errno(libc::EINVAL);

/// How long a check watches for the answer where the host will not ask again before its next round.
const GLANCE: Duration = Duration::from_micros(1);

/// The same when a worker has only just been told to submit the read.
const SHORT_WAIT: Duration = Duration::from_millis(1);

/// A path checked by reading its first block.
pub struct Directio {
    place: Place,
    /// O_DIRECT was not set before, so `free` takes it off again.
    restore_flags: bool,
    /// The file does not take reads on condition that the kernel need not wait.
    may_block: bool,
    /// A read was submitted and its answer has not been collected.
    running: bool,
    /// Nobody looked for the answer since.
    unseen: bool,
    /// When the read is late ([`Delivery::Pending`]).
    deadline: Monotonic,
    /// How many checks have seen the read under way ([`Delivery::InCheck`]).
    checks: u32,
    failure: Option<Failure>,
}

impl Checker for Directio {
    const NAME: &'static str = "directio";
    const MESSAGES: MessageTable = &[
        c" is not available",
        c" is waiting on aio",
        c" cannot get blocksize, set default",
    ];

    type Shared = ();

    fn lock_shared() {}

    fn init(call: &mut Call) -> Result<Self, InitError> {
        parting::retry();
        let place = groups().join().map_err(report)?;
        match prepare(call, place) {
            Ok(restore_flags) => Ok(Directio {
                place,
                restore_flags,
                may_block: false,
                running: false,
                unseen: false,
                deadline: Monotonic::default(),
                checks: 0,
                failure: None,
            }),
            Err(error) => {
                // A place that has never been used does not become an orphan's.
                let _ = groups().leave(place);
                Err(error)
            }
        }
    }

    fn check(&mut self, call: &mut Call) -> Verdict {
        self.announce(call);
        verdict(match self.running {
            true => match self.finished(call) {
                Some(state) => state,
                None => self.look(GLANCE, call),
            },
            false => match self.submit(call) {
                Ok(patience) => self.look(patience, call),
                Err(errno) => self.not_submitted(errno),
            },
        })
    }

    fn pending(&mut self, call: &mut Call) -> Verdict {
        if !self.running {
            return Self::idle(call.path_state);
        }
        verdict(self.take(call).unwrap_or_else(|| {
            if (call.clock)() > self.deadline {
                log::debug!("directio: abort check on timeout");
                PathState::Down
            } else {
                still_pending()
            }
        }))
    }

    fn idle(stored: PathState) -> Verdict {
        verdict(stored)
    }

    fn need_wait(&self) -> bool {
        self.running && self.unseen && groups().stage(self.place).is_under_way()
    }

    fn free(self, call: &Call) {
        let left_behind = groups().leave(self.place);
        if self.restore_flags {
            clear_direct(call.fd);
        }
        if let Some(group) = left_behind {
            parting::part_with(group.into_context());
        }
    }

    /// Gives back the contexts of all groups without a living path, with their quota, and the threads
    /// that have nothing to do. What the kernel still works on is not waited for.
    fn reset() {
        POOL.dismiss_idle();
        parting::retry();
        let mut parted = Vec::new();
        loop {
            let Some(group) = groups().take_deserted() else {
                break;
            };
            let context = group.into_context();
            let trace = context.trace();
            parting::part_with(context);
            // Without memory for it, its quota is simply not waited for.
            let _ = try_push(&mut parted, trace);
        }
        parting::await_quota(parted);
    }
}

impl Directio {
    /// Why the last read that was started failed, if it has.
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }

    fn announce(&self, call: &Call) {
        if log::log_enabled!(log::Level::Trace) {
            if let Ok(stat) = kernel_fd::stat(call.fd) {
                log::trace!("directio: called for {:x}", stat.device as u32);
            }
            if call.mode == Mode::Sync {
                log::trace!("directio: called in synchronous mode");
            }
        }
    }

    /// The state of a read that somebody else's look has found finished.
    fn finished(&mut self, call: &Call) -> Option<PathState> {
        self.unseen = false;
        let stage = groups().of(self.place)?.collect(self.place.index())?;
        self.state_after(stage, call)
    }

    /// The state of a read that has finished by now.
    fn take(&mut self, call: &Call) -> Option<PathState> {
        self.unseen = false;
        let stage = groups().of(self.place)?.take(self.place.index())?;
        self.state_after(stage, call)
    }

    /// Starts a read, and says how long to wait for it where the host will not ask again.
    fn submit(&mut self, call: &Call) -> Result<Duration, Errno> {
        log::trace!("directio: starting new request");
        self.failure = None;
        let now = (call.clock)();
        let patience = match call.mode {
            Mode::Async if self.may_block => {
                errand::send(self.place, call.fd, now)?;
                SHORT_WAIT
            }
            Mode::Async => match self.submit_here(true, call.fd, now)? {
                None => GLANCE,
                Some(refusal) => {
                    self.resubmit(refusal, call.fd, now)?;
                    SHORT_WAIT
                }
            },
            Mode::Sync => {
                self.submit_here(false, call.fd, now)?;
                GLANCE
            }
        };
        self.running = true;
        self.unseen = true;
        self.checks = 0;
        self.deadline = now.plus(call.timeout.as_duration());
        Ok(patience)
    }

    /// Submits a read on the host's thread; with `nowait` the kernel may refuse it.
    fn submit_here(
        &mut self,
        nowait: bool,
        fd: RawFd,
        now: Monotonic,
    ) -> Result<Option<Errno>, Errno> {
        let index = self.place.index();
        let begun = groups()
            .of(self.place)
            .map(|group| group.begin(index, nowait, now));
        let submission = begun.unwrap_or(Err(NO_GROUP))?;
        let submitted = if nowait {
            submission.submit_nowait(fd)
        } else {
            submission.submit(fd)
        };
        let mut groups = groups();
        let group = groups.of(self.place).ok_or(NO_GROUP)?;
        group.settle(index, submitted)
    }

    /// Leaves to a worker what the kernel has refused to do without waiting.
    fn resubmit(&mut self, refusal: Errno, fd: RawFd, now: Monotonic) -> Result<(), Errno> {
        self.may_block |= refusal.0 == libc::EOPNOTSUPP;
        errand::send(self.place, fd, now)
    }

    /// What `check` says of a read under way, after waiting as long as the host allows: for
    /// `patience` where it takes the verdict from here.
    fn look(&mut self, patience: Duration, call: &Call) -> PathState {
        let patience = match (call.mode, call.delivery) {
            (Mode::Async, Delivery::Pending) => return PathState::Pending,
            (Mode::Async, Delivery::InCheck) => patience,
            (Mode::Sync, _) => call.timeout.as_duration(),
        };
        self.checks = self.checks.saturating_add(1);
        if let Some(state) = self.wait(patience, call) {
            return state;
        }
        // Hosts that take the verdict from `check` call once per second: the limit is in calls.
        if call.mode == Mode::Sync || self.checks > call.timeout.0 {
            log::debug!("directio: abort check on timeout");
            return PathState::Down;
        }
        still_pending()
    }

    fn wait(&mut self, limit: Duration, call: &Call) -> Option<PathState> {
        self.unseen = false;
        let end = (call.clock)().plus(limit);
        loop {
            let stage = wait(self.place, end, call.clock)?;
            // A read that had to be submitted again goes on.
            if let Some(state) = self.state_after(stage, call) {
                return Some(state);
            }
        }
    }

    /// The state that a read has ended with, unless it has to be submitted again.
    fn state_after(&mut self, stage: Stage, call: &Call) -> Option<PathState> {
        let state = match stage {
            Stage::Read => PathState::Up,
            Stage::Refused(refusal) => {
                let errno = self.resubmit(refusal, call.fd, (call.clock)()).err()?;
                self.not_submitted(errno)
            }
            Stage::Failed(Failure::NotSubmitted(errno)) => self.not_submitted(errno),
            Stage::Failed(failure) => {
                self.failure = Some(failure);
                PathState::Down
            }
            Stage::Idle | Stage::Submitting(_) | Stage::InFlight => PathState::Down,
        };
        self.running = false;
        Some(state)
    }

    /// The state of a path of which the kernel takes no request.
    fn not_submitted(&mut self, errno: Errno) -> PathState {
        log::debug!("directio: io_submit error {}", errno.0);
        self.failure = Some(Failure::NotSubmitted(errno));
        PathState::Unchecked
    }
}

fn still_pending() -> PathState {
    log::trace!("directio: async io pending");
    PathState::Pending
}

/// A state with its message. States that this checker does not give itself (the host's own, handed
/// back by `pending`) leave the message as it is.
fn verdict(state: PathState) -> Verdict {
    match state {
        PathState::Unchecked => Verdict::new(state, NOT_AVAILABLE),
        PathState::Pending => Verdict::new(state, WAITING),
        PathState::Up => Verdict::UP,
        PathState::Down => Verdict::DOWN,
        other => Verdict::silent(other),
    }
}

fn report(error: NoGroup) -> InitError {
    match error {
        NoGroup::OutOfMemory => InitError::OutOfMemory,
        NoGroup::Os(errno) => {
            log::warn!("directio: io_setup failed");
            if errno.0 == libc::EAGAIN {
                log::warn!(
                    "directio: global number of io events too small. \
                     Increase fs.aio-max-nr with sysctl"
                );
            }
            InitError::Os(errno.0)
        }
    }
}

/// Gets a path ready that has its place; says whether O_DIRECT is to be taken off in the end.
fn prepare(call: &mut Call, place: Place) -> Result<bool, InitError> {
    let size = block_size(call)?;
    if let Some(group) = groups().of(place) {
        group.set_block_size(place.index(), size);
    }
    set_direct(call.fd).map_err(|errno| InitError::Os(errno.0))
}

/// How much to read: the device's block size, at most 4096 bytes (the value is wrong for DASDs),
/// unless a single logical block is larger than that.
fn block_size(call: &mut Call) -> Result<u32, InitError> {
    let soft = kernel_fd::soft_block_size(call.fd).unwrap_or_else(|_| {
        call.init_message = Some(NO_BLOCK_SIZE);
        DEFAULT_BLOCK_SIZE
    });
    if soft == 0 {
        return Err(InitError::Unsuitable("the block size is 0"));
    }
    match kernel_fd::logical_block_size(call.fd) {
        Ok(logical) if logical > DEFAULT_BLOCK_SIZE => Ok(logical),
        _ => Ok(soft.min(DEFAULT_BLOCK_SIZE)),
    }
}

/// Sets O_DIRECT; says whether it was not set before.
fn set_direct(fd: RawFd) -> Result<bool, Errno> {
    let flags = kernel_fd::status_flags(fd)?;
    if flags & libc::O_DIRECT != 0 {
        return Ok(false);
    }
    kernel_fd::set_status_flags(fd, flags | libc::O_DIRECT)?;
    Ok(true)
}

/// Takes O_DIRECT off; a descriptor that has been closed meanwhile is nobody's concern.
fn clear_direct(fd: RawFd) {
    if let Ok(flags) = kernel_fd::status_flags(fd) {
        let _ = kernel_fd::set_status_flags(fd, flags & !libc::O_DIRECT);
    }
}

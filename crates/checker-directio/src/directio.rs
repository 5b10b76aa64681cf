//! One path.

use crate::deferred_submit::defer;
use crate::destroy;
use crate::fork::{Held, hold_for_fork};
use crate::group::{Failure, NoGroup, Stage};
use crate::groups::{self, groups};
use crate::nowait::{Nowait, this_release};
use crate::place::Place;
use crate::waiting::{Patience, wait};
use checkers_core::memory::try_push;
use checkers_core::pool::POOL;
use checkers_core::{
    Call, Checker, Delivery, InitError, Initialized, MessageId, MessageTable, Mode, Monotonic,
    PathState, Reported, Verdict,
};
use kernel_fd::fork::Generation;
use kernel_fd::{Errno, FileKind, KernelRelease};
use std::os::fd::RawFd;
use std::time::Duration;

const NOT_AVAILABLE: MessageId = MessageId::plugin(0);
const WAITING: MessageId = MessageId::plugin(1);
const NO_BLOCK_SIZE: MessageId = MessageId::plugin(2);

/// What is read when the kernel does not say how large a block is, and the most that is read of a
/// device whose logical blocks are not larger than this.
const DEFAULT_BLOCK_SIZE: u32 = 4096;

/// The largest logical block that Linux allows a device to have (`BLK_MAX_BLOCK_SIZE`, since 6.15; a
/// page before). Larger ones, and sizes that are no power of two, are a driver's error.
const LARGEST_LOGICAL_BLOCK: u32 = 65_536;

/// What the kernel would say without an AIO context.
const NO_GROUP: Errno = Errno(libc::EINVAL);

/// Why a deferred submission does not begin.
const NO_THREAD: Errno = Errno(libc::EAGAIN);

/// How long a check watches for the result where the host will not ask again before its next round.
const GLANCE: Duration = Duration::from_micros(1);

/// The same when a worker has only just been told to submit the read.
const SHORT_WAIT: Duration = Duration::from_millis(1);

/// A path checked by reading its first block.
pub struct Directio {
    place: Place,
    /// The process that the place belongs to.
    process: Generation,
    block_size: u32,
    /// O_DIRECT was not set before, so `free` takes it off again.
    restore_flags: bool,
    nowait: Nowait,
    /// A read was submitted and its result has not been collected.
    running: bool,
    /// The result has not been asked for since.
    unseen: bool,
    /// When the read is late ([`Delivery::Pending`]).
    deadline: Monotonic,
    /// How many checks have seen the read in flight ([`Delivery::InCheck`]).
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

    type Shared = Held;

    fn lock_shared() -> Held {
        hold_for_fork()
    }

    fn init(call: &Call) -> Initialized<Self> {
        Self::init_on(call, this_release())
    }

    fn check(&mut self, call: &Call) -> Reported {
        self.announce(call);
        if let Err(errno) = self.move_to_this_process() {
            return report(self.not_submitted(errno));
        }
        report(match self.running {
            true => match self.finished(call) {
                Some(state) => state,
                None => self.poll(GLANCE, call),
            },
            false => match self.submit(call) {
                Ok(patience) => self.poll(patience, call),
                Err(errno) => self.not_submitted(errno),
            },
        })
    }

    fn pending(&mut self, call: &Call) -> Reported {
        if !self.running {
            return Self::idle(call.path_state).into();
        }
        if !self.process.is_here() {
            // The read is the parent's, and so is its result.
            return self.check(call);
        }
        report(self.take(call).unwrap_or_else(|| {
            if (call.clock)() > self.deadline {
                // A process may have been stopped between the two questions, for longer than the limit.
                let taken = self.take(call);
                taken.unwrap_or_else(|| self.late())
            } else {
                still_pending()
            }
        }))
    }

    fn idle(stored: PathState) -> Verdict {
        verdict(stored)
    }

    fn need_wait(&self) -> bool {
        self.running
            && self.unseen
            && self.process.is_here()
            && groups().stage(self.place).is_in_flight()
    }

    fn free(self, call: &Call) {
        let forsaken = groups::leave(self.place);
        if self.restore_flags {
            clear_direct(call.fd);
        }
        if let Some(group) = forsaken {
            destroy::destroy(group.into_context());
        }
    }

    /// Gives back the contexts of all groups without a living path, with their quota, and the threads
    /// that have nothing to do. What the kernel still works on is not waited for.
    fn reset() {
        POOL.dismiss_idle();
        destroy::retry();
        let mut destroyed = Vec::new();
        loop {
            let deserted = groups().take_deserted();
            let Some(group) = deserted else {
                break;
            };
            let context = group.into_context();
            let trace = context.quota();
            destroy::destroy(context);
            // Without memory for it, its quota is simply not waited for.
            let _ = try_push(&mut destroyed, trace);
        }
        destroy::await_quota(destroyed);
    }
}

impl Directio {
    /// Why the last read that was started failed, if it has.
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// [`Checker::init`] on a kernel of this release.
    fn init_on(call: &Call, release: Option<KernelRelease>) -> Initialized<Self> {
        let mut message = None;
        let instance = Self::make(call, release, &mut message);
        Initialized { instance, message }
    }

    /// Makes the instance; `message` is what the host is to show even without one.
    fn make(
        call: &Call,
        release: Option<KernelRelease>,
        message: &mut Option<MessageId>,
    ) -> Result<Self, InitError> {
        destroy::retry();
        destroy_forsaken();
        let process = Generation::current().map_err(|errno| InitError::Os(errno.0))?;
        let place = groups::join().map_err(no_context)?;
        match prepare(call, place, release, message) {
            Ok(prepared) => Ok(Directio {
                place,
                process,
                block_size: prepared.block_size,
                restore_flags: prepared.restore_flags,
                nowait: prepared.nowait,
                running: false,
                unseen: false,
                deadline: Monotonic::default(),
                checks: 0,
                failure: None,
            }),
            Err(error) => {
                leave(place);
                Err(error)
            }
        }
    }

    /// In a child process, the contexts and what is in flight in them are its parent's: takes a place
    /// in a context of this process.
    fn move_to_this_process(&mut self) -> Result<(), Errno> {
        if self.process.is_here() {
            return Ok(());
        }
        let process = Generation::current()?;
        let place = groups::join().map_err(|error| match error {
            NoGroup::OutOfMemory => Errno(libc::ENOMEM),
            NoGroup::Os(errno) => errno,
        })?;
        set_block_size(place, self.block_size);
        leave(self.place);
        (self.place, self.process) = (place, process);
        (self.running, self.unseen) = (false, false);
        Ok(())
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

    /// The state of a read that a poll of another path has found finished.
    fn finished(&mut self, call: &Call) -> Option<PathState> {
        self.unseen = false;
        let stage = groups().of(self.place)?.collect(self.place.index)?;
        self.state_after(stage, call)
    }

    /// The state of a read that has finished by now.
    fn take(&mut self, call: &Call) -> Option<PathState> {
        self.unseen = false;
        let stage = groups().of(self.place)?.take(self.place.index)?;
        self.state_after(stage, call)
    }

    /// Starts a read, and says how long to wait for it where the host will not ask again.
    fn submit(&mut self, call: &Call) -> Result<Duration, Errno> {
        log::trace!("directio: starting new request");
        self.failure = None;
        let now = (call.clock)();
        let patience = match call.mode {
            Mode::Async if self.nowait.tries() => match self.submit_here(true, call.fd, now)? {
                None => GLANCE,
                Some(refusal) => {
                    self.resubmit(refusal, call.fd, now)?;
                    SHORT_WAIT
                }
            },
            Mode::Async => {
                defer(self.place, call.fd, now)?;
                SHORT_WAIT
            }
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
        let begun = groups::begin(self.place, nowait, now, |_, submission| Ok(submission))?;
        let submitted = if nowait {
            begun.submit_nowait(fd)
        } else {
            begun.submit(fd)
        };
        let mut groups = groups();
        let group = groups.of(self.place).ok_or(NO_GROUP)?;
        group.settle(self.place.index, submitted)
    }

    /// Leaves to a worker what the kernel has refused to do without waiting.
    fn resubmit(&mut self, refusal: Errno, fd: RawFd, now: Monotonic) -> Result<(), Errno> {
        self.nowait.refused(refusal);
        defer(self.place, fd, now)
    }

    /// What `check` says of a read in flight, after waiting as long as the host allows: for
    /// `patience` where it takes the verdict from here.
    fn poll(&mut self, patience: Duration, call: &Call) -> PathState {
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
            return self.late();
        }
        still_pending()
    }

    fn wait(&mut self, limit: Duration, call: &Call) -> Option<PathState> {
        self.unseen = false;
        let mut patience = Patience::new(limit, call.clock);
        loop {
            let stage = wait(self.place, &mut patience)?;
            // A read that had to be submitted again goes on.
            if let Some(state) = self.state_after(stage, call) {
                return Some(state);
            }
        }
    }

    /// The state of a path whose read has not ended within the time limit. A read that no worker has
    /// begun to submit says nothing of the device; the next check submits it again.
    fn late(&mut self) -> PathState {
        let called_off = groups().call_off(self.place);
        if called_off.is_some() {
            self.running = false;
            return self.not_submitted(NO_THREAD);
        }
        log::debug!("directio: abort check on timeout");
        PathState::Down
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
        self.nowait.ended();
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

/// Gives a place up and has a group that is forsaken destroyed; one of a parent process is forgotten.
fn leave(place: Place) {
    if let Some(group) = groups::leave(place) {
        destroy::destroy(group.into_context());
    }
}

/// Destroys the groups that have only orphans since a worker has come back, which destroys none.
fn destroy_forsaken() {
    loop {
        let forsaken = groups().take_forsaken();
        let Some(group) = forsaken else {
            return;
        };
        destroy::destroy(group.into_context());
    }
}

fn still_pending() -> PathState {
    log::trace!("directio: async io pending");
    PathState::Pending
}

/// What a call returns in this state.
fn report(state: PathState) -> Reported {
    verdict(state).into()
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

fn no_context(error: NoGroup) -> InitError {
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

/// What `prepare` has found out and done.
struct Prepared {
    block_size: u32,
    /// Whether O_DIRECT is to be taken off in the end.
    restore_flags: bool,
    nowait: Nowait,
}

/// Gets a path ready that has its place.
fn prepare(
    call: &Call,
    place: Place,
    release: Option<KernelRelease>,
    message: &mut Option<MessageId>,
) -> Result<Prepared, InitError> {
    let block_size = block_size(call, message)?;
    set_block_size(place, block_size);
    // A descriptor that cannot be asked fails below.
    let kind = kernel_fd::stat(call.fd).map_or(FileKind::Other, |stat| stat.kind);
    let restore_flags = set_direct(call.fd).map_err(|errno| InitError::Os(errno.0))?;
    Ok(Prepared {
        block_size,
        restore_flags,
        nowait: Nowait::new(kind, release),
    })
}

fn set_block_size(place: Place, block_size: u32) {
    if let Some(group) = groups().of(place) {
        group.set_block_size(place.index, block_size);
    }
}

fn block_size(call: &Call, message: &mut Option<MessageId>) -> Result<u32, InitError> {
    let soft = kernel_fd::soft_block_size(call.fd).unwrap_or_else(|_| {
        *message = Some(NO_BLOCK_SIZE);
        DEFAULT_BLOCK_SIZE
    });
    let size = read_size(soft, kernel_fd::logical_block_size(call.fd));
    size.ok_or(InitError::Unsuitable("the block size is 0"))
}

/// How much to read: the device's block size, at most 4096 bytes (the value is wrong for DASDs),
/// unless a single logical block is larger than that and of a size that there is. `None` for a block size
/// of 0.
fn read_size(soft: u32, logical: Result<u32, Errno>) -> Option<u32> {
    const LARGE: std::ops::RangeInclusive<u32> = DEFAULT_BLOCK_SIZE + 1..=LARGEST_LOGICAL_BLOCK;
    match logical {
        _ if soft == 0 => None,
        Ok(logical) if LARGE.contains(&logical) && logical.is_power_of_two() => Some(logical),
        _ => Some(soft.min(DEFAULT_BLOCK_SIZE)),
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

/// Takes O_DIRECT off; a descriptor that has been closed meanwhile needs nothing.
fn clear_direct(fd: RawFd) {
    if let Ok(flags) = kernel_fd::status_flags(fd) {
        let _ = kernel_fd::set_status_flags(fd, flags & !libc::O_DIRECT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use checkers_core::{MapMemory, Seconds};
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::process::Command;

    #[test]
    fn what_is_read_is_a_block_of_a_size_that_linux_allows() {
        let no = Err(Errno(libc::ENOTTY));
        for (soft, logical, size) in [
            (512, Ok(512), Some(512)),
            (4096, no, Some(4096)),
            (65_536, Ok(512), Some(4096)),
            // A negative one, as the kernel stores it.
            (-1_i32 as u32, no, Some(4096)),
            (4096, Ok(i32::MIN as u32), Some(4096)),
            (0, Ok(512), None),
            (0, Ok(65_536), None),
            (4096, Ok(8192), Some(8192)),
            (512, Ok(65_536), Some(65_536)),
            // Beyond what can be: not believed.
            (4096, Ok(131_072), Some(4096)),
            (4096, Ok(1 << 30), Some(4096)),
            (512, Ok(0x7fff_ffff), Some(512)),
            (4096, Ok(4097), Some(4096)),
            (4096, Ok(12_288), Some(4096)),
            (4096, Ok(0), Some(4096)),
        ] {
            assert_eq!(read_size(soft, logical), size, "{soft} {logical:?}");
        }
    }

    fn call(file: &File) -> Call {
        Call {
            fd: file.as_raw_fd(),
            timeout: Seconds(20),
            mode: Mode::Async,
            delivery: Delivery::Pending,
            path_state: PathState::Wild,
            map: MapMemory::Absent,
            clock: kernel_fd::monotonic,
        }
    }

    #[test]
    fn a_refused_read_that_no_worker_can_have_is_over() {
        let _alone = crate::groups::tests::alone();
        let file = tempfile::tempfile().unwrap();
        let mut call = call(&file);
        let mut path = Directio::init(&call).instance.unwrap();
        path.running = true;
        // There is no such descriptor to duplicate.
        call.fd = -1;
        let state = path.state_after(Stage::Refused(Errno(libc::EAGAIN)), &call);
        assert_eq!(state, Some(PathState::Unchecked));
        assert!(!path.running, "the next check submits");
        call.fd = file.as_raw_fd();
        path.free(&call);
    }

    #[test]
    #[ignore = "needs root and a loop device"]
    fn before_linux_5_13_a_worker_submits_for_block_devices() {
        let _alone = crate::groups::tests::alone();
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("image");
        File::create_new(&image).unwrap().set_len(1 << 20).unwrap();
        let attach = Command::new("losetup")
            .args(["-f", "--show"])
            .arg(&image)
            .output();
        let name = String::from_utf8(attach.unwrap().stdout).unwrap();
        let device = File::open(name.trim()).unwrap();
        let call = call(&device);
        let release = KernelRelease {
            major: 5,
            minor: 12,
        };
        let mut path = Directio::init_on(&call, Some(release)).instance.unwrap();
        let (place, mut verdict) = (path.place, path.check(&call).verdict);
        let nowait = groups().of(place).unwrap().was_nowait(place.index);
        while verdict.state == PathState::Pending {
            verdict = path.pending(&call).verdict;
        }
        path.free(&call);
        drop(device);
        let _ = Command::new("losetup").args(["-d", name.trim()]).status();
        assert_eq!((nowait, verdict), (false, Verdict::UP));
    }
}

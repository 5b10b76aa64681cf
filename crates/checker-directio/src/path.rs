// SPDX-License-Identifier: LGPL-2.0-or-later

//! One path: the decision which state it is in.

use crate::fork::{Held, hold_for_fork};
use crate::group::NoGroup;
use crate::groups::{self, groups};
use crate::nowait::{Nowait, this_release};
use crate::place::Place;
use crate::prepare;
use crate::read::{Failure, Outcome};
use crate::submit::{self, Submitter};
use crate::wait::{Patience, wait};
use checkers_core::memory::OutOfMemory;
use checkers_core::pool::POOL;
use checkers_core::sync::broken;
use checkers_core::{
    Call, Checker, Delivery, InitError, Initialized, MessageId, MessageTable, Mode, Monotonic,
    PathState, Reported, Verdict,
};
use kernel_fd::fork::Generation;
use kernel_fd::{Errno, KernelRelease};
use std::time::Duration;

const NOT_AVAILABLE: MessageId = MessageId::plugin(0);
const WAITING: MessageId = MessageId::plugin(1);
const NO_BLOCK_SIZE: MessageId = MessageId::plugin(2);

/// The error of a deferred submission that no worker has begun within the time limit.
const NO_THREAD: Errno = Errno(libc::EAGAIN);

/// How long a check waits for the result where the host does not ask again before its next round.
const BRIEF_WAIT: Duration = Duration::from_micros(1);

/// The same when a worker is to submit the read.
const WORKER_WAIT: Duration = Duration::from_millis(1);

/// A path checked by reading its first block.
pub struct Directio {
    place: Place,
    /// The process that the place belongs to.
    process: Generation,
    block_size: u32,
    /// `O_DIRECT` was not set before, so `free` clears it.
    restore_flags: bool,
    nowait: Nowait,
    /// The check whose result has not been collected.
    running: Option<Running>,
    failure: Option<Failure>,
}

/// A check that has been started.
#[derive(Clone, Copy, Debug)]
struct Running {
    /// The result has been asked for since.
    polled: bool,
    /// When the read is late ([`Delivery::Pending`]).
    deadline: Monotonic,
    /// How many calls have found the read in flight ([`Delivery::InCheck`]).
    calls: u32,
}

impl Checker for Directio {
    const NAME: &'static str = "directio";
    const MESSAGES: MessageTable = &[
        c" is not available",
        c" is waiting on aio",
        c" cannot get blocksize, set default",
    ];

    type Shared = Held;

    fn lock_shared() -> Result<Held, OutOfMemory> {
        Ok(hold_for_fork())
    }

    fn init(call: &Call) -> Initialized<Self> {
        Self::init_on(call, this_release())
    }

    fn check(&mut self, call: &Call) -> Reported {
        log_call(call);
        if let Err(errno) = self.move_to_this_process() {
            return report(self.not_submitted(errno));
        }
        report(match self.running {
            Some(_) => match self.collect(call) {
                Some(state) => state,
                None => self.poll_or_wait(BRIEF_WAIT, call),
            },
            None => match self.start(call) {
                Ok(wait) => self.poll_or_wait(wait, call),
                Err(errno) => self.not_submitted(errno),
            },
        })
    }

    fn pending(&mut self, call: &Call) -> Reported {
        let Some(running) = self.running else {
            return Self::idle(call.path_state).into();
        };
        if !self.process.is_here() {
            // The read is the parent's, and so is its result.
            return self.check(call);
        }
        report(self.poll(call).unwrap_or_else(|| {
            if (call.clock)() > running.deadline {
                // The process may have been stopped before it read the clock, for longer than the limit.
                self.poll(call).unwrap_or_else(|| self.late())
            } else {
                still_pending()
            }
        }))
    }

    fn idle(stored: PathState) -> Verdict {
        verdict(stored)
    }

    fn need_wait(&self) -> bool {
        self.running.is_some_and(|running| !running.polled)
            && self.process.is_here()
            && groups().read(self.place).is_awaited()
    }

    fn free(self, call: &Call) {
        groups::leave(self.place);
        if self.restore_flags {
            prepare::clear_direct(call.fd);
        }
    }

    /// Releases the contexts of all groups without paths, with their quota, and the threads without work.
    /// Requests in flight are not waited for.
    fn reset() {
        POOL.dismiss_idle();
        groups::destroy_deserted();
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
        groups::destroy_orphaned();
        let process = Generation::current().map_err(|errno| InitError::Os(errno.0))?;
        let place = groups::join().map_err(no_context)?;
        let made = Self::prepare(call, place, process, release, message);
        made.inspect_err(|_| groups::leave(place))
    }

    /// Makes the instance for a path that has its place.
    fn prepare(
        call: &Call,
        place: Place,
        process: Generation,
        release: Option<KernelRelease>,
        message: &mut Option<MessageId>,
    ) -> Result<Self, InitError> {
        let block_size = prepare::block_size(call.fd)?;
        if block_size.is_default {
            *message = Some(NO_BLOCK_SIZE);
        }
        groups::set_block_size(place, block_size.bytes);
        // A descriptor that the kernel does not describe fails in the line after.
        let kind = prepare::file_kind(call.fd);
        let restore_flags = prepare::set_direct(call.fd)?;
        Ok(Directio {
            place,
            process,
            block_size: block_size.bytes,
            restore_flags,
            nowait: Nowait::new(kind, release),
            running: None,
            failure: None,
        })
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
        groups::set_block_size(place, self.block_size);
        groups::leave(self.place);
        (self.place, self.process) = (place, process);
        self.running = None;
        Ok(())
    }

    /// Starts a read. Returns how long to wait for it where the host does not ask again.
    fn start(&mut self, call: &Call) -> Result<Duration, Errno> {
        log::trace!("directio: starting new request");
        self.failure = None;
        let now = (call.clock)();
        let submitter = submit::start(self.place, &mut self.nowait, call.mode, call.fd, now)?;
        self.running = Some(Running {
            polled: false,
            deadline: now.plus(call.timeout.as_duration()),
            calls: 0,
        });
        Ok(match submitter {
            Submitter::Caller => BRIEF_WAIT,
            Submitter::Worker => WORKER_WAIT,
        })
    }

    /// The state of a read that the poll of another path has found ended.
    fn collect(&mut self, call: &Call) -> Option<PathState> {
        self.mark_polled();
        let outcome = groups().of(self.place)?.collect(self.place.index)?;
        self.state_after(outcome, call)
    }

    /// The state of a read that has ended by now.
    fn poll(&mut self, call: &Call) -> Option<PathState> {
        self.mark_polled();
        let outcome = groups().of(self.place)?.poll(self.place.index)?;
        self.state_after(outcome, call)
    }

    /// The state of a read that ends within `limit`.
    fn wait(&mut self, limit: Duration, call: &Call) -> Option<PathState> {
        self.mark_polled();
        let mut patience = Patience::new(limit, call.clock);
        loop {
            let outcome = wait(self.place, &mut patience)?;
            // A read that had to be submitted again goes on.
            if let Some(state) = self.state_after(outcome, call) {
                return Some(state);
            }
        }
    }

    fn mark_polled(&mut self) {
        if let Some(running) = &mut self.running {
            running.polled = true;
        }
    }

    /// What `check` returns for a read in flight, after waiting as long as the host allows: for `brief` where
    /// the host takes the verdict from here.
    fn poll_or_wait(&mut self, brief: Duration, call: &Call) -> PathState {
        let limit = match (call.mode, call.delivery) {
            (Mode::Async, Delivery::Pending) => return PathState::Pending,
            (Mode::Async, Delivery::InCheck) => brief,
            (Mode::Sync, _) => call.timeout.as_duration(),
        };
        let calls = self.count_call();
        if let Some(state) = self.wait(limit, call) {
            return state;
        }
        // Hosts that take the verdict from `check` call once per second: the limit is in calls.
        if call.mode == Mode::Sync || calls > call.timeout.0 {
            return self.late();
        }
        still_pending()
    }

    fn count_call(&mut self) -> u32 {
        self.running.as_mut().map_or(0, |running| {
            running.calls = running.calls.saturating_add(1);
            running.calls
        })
    }

    /// The state of a path whose read has not ended within the time limit. A read that no worker has
    /// begun to submit says nothing about the device; the next check submits it again.
    fn late(&mut self) -> PathState {
        let taken_back = groups().take_back(self.place);
        if taken_back.is_some() || broken("a begun submission counts as taken back") {
            self.running = None;
            return self.not_submitted(NO_THREAD);
        }
        log::debug!("directio: abort check on timeout");
        PathState::Down
    }

    /// The state that a read has ended with, unless it has to be submitted again.
    fn state_after(&mut self, outcome: Outcome, call: &Call) -> Option<PathState> {
        let state = match outcome {
            Outcome::Complete => PathState::Up,
            Outcome::Refused(errno) => {
                let now = (call.clock)();
                let place = self.place;
                let again = submit::start_again(place, &mut self.nowait, errno, call.fd, now);
                self.not_submitted(again.err()?)
            }
            Outcome::Failed(Failure::NotSubmitted(errno)) => self.not_submitted(errno),
            Outcome::Failed(failure) => {
                self.failure = Some(failure);
                PathState::Down
            }
        };
        self.nowait.ended();
        self.running = None;
        Some(state)
    }

    /// The state of a path whose request the kernel has not taken.
    fn not_submitted(&mut self, errno: Errno) -> PathState {
        log::debug!("directio: io_submit error {}", errno.0);
        self.failure = Some(Failure::NotSubmitted(errno));
        PathState::Unchecked
    }
}

fn log_call(call: &Call) {
    if log::log_enabled!(log::Level::Trace) {
        if let Ok(stat) = crate::kernel::stat(call.fd) {
            log::trace!("directio: called for {:x}", stat.device as u32);
        }
        if call.mode == Mode::Sync {
            log::trace!("directio: called in synchronous mode");
        }
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

/// A state with its message. States that this checker does not produce itself (the host's own, returned
/// by `pending`) leave the message as it is.
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

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;

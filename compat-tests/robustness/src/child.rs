// SPDX-License-Identifier: LGPL-2.0-or-later

//! Forked processes.

use harness::{Doing, Result, Trouble};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::time::{Duration, Instant};

/// A child of this process that has not been waited for.
pub(crate) struct Child(Pid);

impl Child {
    /// Forks. The child does `work`, which makes such calls as a host might make, and ends with the exit
    /// code that it returns, without cleaning up.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn start(work: impl FnOnce() -> i32) -> Result<Child> {
        // SAFETY: what another thread holds, such as the allocator's lock, is released in the child by
        // the C library; the child calls nothing else that other threads of this process may hold.
        match unsafe { fork() }.doing("fork")? {
            ForkResult::Parent { child } => Ok(Child(child)),
            ForkResult::Child => {
                let code = work();
                // SAFETY: ends the process.
                unsafe { libc::_exit(code) }
            }
        }
    }

    /// Waits until the process ends; `None` when it takes longer than `limit`.
    pub(crate) fn wait(&self, limit: Duration) -> Result<Option<WaitStatus>> {
        let end = Instant::now() + limit;
        let mut pause = Duration::from_micros(100);
        loop {
            match waitpid(self.0, Some(WaitPidFlag::WNOHANG)).doing("waitpid")? {
                WaitStatus::StillAlive if Instant::now() > end => return Ok(None),
                WaitStatus::StillAlive => std::thread::sleep(pause),
                status => return Ok(Some(status)),
            }
            pause = (pause * 2).min(Duration::from_millis(2));
        }
    }

    /// Waits until the process ends or stops.
    pub(crate) fn wait_for_stop(&self) -> Result<WaitStatus> {
        loop {
            match waitpid(self.0, Some(WaitPidFlag::WUNTRACED)) {
                Err(Errno::EINTR) => {}
                status => return status.doing("waitpid"),
            }
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.0, signal).doing("kill")
    }

    /// Kills the process, calls `release`, without which it may not be able to end, and waits for it.
    pub(crate) fn kill(self, release: impl FnOnce()) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        release();
        match waitpid(self.0, None) {
            Ok(_) => Ok(()),
            Err(errno) => Err(Trouble::Broken(format!("waitpid: {errno}"))),
        }
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! What happens during a call, and calls from other threads and processes.

use super::calls::log_of;
use super::driver::Driver;
use super::handles::{Event, Gate, Id};
use super::observation::{Log, Observation, Returned, Step};
use super::seen::Seen;
use harness::devices::request::Request;
use harness::ipc::Channel;
use harness::{Doing, Result, Trouble, host};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use serde::{Deserialize, Serialize};
use std::ffi::{c_int, c_short};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// What a forked child has seen.
#[derive(Serialize, Deserialize)]
struct Child {
    state: harness::state::State,
    msgid: c_short,
    log: Log,
}

impl Driver {
    /// `libcheck_check` on another thread: hosts call from whichever thread holds their lock.
    pub(crate) fn check_on_thread(&mut self, id: Id) -> Result<Seen<'_>> {
        let panicked = || Trouble::Broken("a thread panicked".to_owned());
        let returned = std::thread::scope(|scope| {
            let thread = scope.spawn(|| self.check(id).map(|seen| seen.state()));
            thread.join().unwrap_or_else(|_| Err(panicked()))
        })?;
        Ok(self.last(returned.into()))
    }

    /// `libcheck_check` in a child of this process that executes nothing else.
    pub(crate) fn check_in_child(&mut self, id: Id) -> Result<Seen<'_>> {
        let label = format!("check #{} in a forked child", id.0);
        self.announce(&label)?;
        let (parents, child_end) = UnixStream::pair().doing("making a socket")?;
        let target = self.checker(id)?.as_ptr();
        self.checker(id)?.set_msgid(0);
        let plugin = self.plugin()?;
        // SAFETY: the child uses only what this, the only running thread, may use, and ends.
        let child = harness::os(unsafe { libc::fork() }).doing("forking")?;
        if child == 0 {
            // SAFETY: the child has its own copy of the instance's struct.
            let state = unsafe { plugin.check(target, std::ptr::null_mut()) };
            let fd = self.checker(id).map_or(-1, |checker| checker.fd());
            let msgid = self.checker(id).map_or(0, |checker| checker.msgid());
            let log = log_of(host::take_lines(), fd);
            if let Ok(mut channel) = Channel::of(child_end) {
                let _ = channel.send(&Child { state, msgid, log });
            }
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(0) };
        }
        drop(child_end);
        let seen: Option<Child> = Channel::of(parents)?.receive().doing("hearing the child")?;
        let mut status = 0;
        // SAFETY: waits for the child just made.
        harness::os(unsafe { libc::waitpid(child, &raw mut status, 0) })
            .doing("waiting for the child")?;
        let mut step = Step {
            label,
            observed: vec![Observation::Exit(status)],
            ..Step::default()
        };
        if let Some(child) = seen {
            step.observed.extend([
                Observation::Returned(child.state.into()),
                Observation::Msgid(child.msgid),
                Observation::Log(child.log),
            ]);
        }
        Ok(self.put(step, Returned::Nothing)?.has(Observation::Exit(0)))
    }

    /// Sends this thread a signal so many seconds after the next call has begun. Its handler does
    /// nothing.
    pub(crate) fn interrupt_after(&mut self, seconds: u64) {
        self.armed
            .push(Event::Interrupt(Duration::from_secs(seconds)));
    }

    /// Starts the clocks of what is to happen during a call.
    pub(super) fn fire(&mut self) -> Result<()> {
        for event in std::mem::take(&mut self.armed) {
            match event {
                Event::LetGo(after, Gate(file), how) => {
                    self.ask(Request::LetGoLater { after, file, how })?;
                }
                Event::Interrupt(after) => interrupt(after)?,
            }
        }
        Ok(())
    }
}

fn interrupt(after: Duration) -> Result<()> {
    extern "C" fn nothing(_: c_int) {}
    let handler = SigHandler::Handler(nothing);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing, which is safe at any time.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.doing("installing a signal handler")?;
    // SAFETY: both only ask for numbers.
    let (process, thread) = unsafe { (libc::getpid(), libc::gettid()) };
    std::thread::spawn(move || {
        std::thread::sleep(after);
        // SAFETY: the signal has a handler, and its thread exists until the process ends.
        unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR1) };
    });
    Ok(())
}

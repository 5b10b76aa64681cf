// SPDX-License-Identifier: LGPL-2.0-or-later

//! One path's checker, called as the hosts of an ABI call it.

#![forbid(unsafe_code)]

use crate::scsi::direct_path::DirectPath;
use crate::scsi::host_path::HostPath;
use crate::scsi::implementation::Implementation;
use crate::scsi::library_path::LibraryPath;
use crate::scsi::loaded::Loaded;
use crate::scsi::protocol_lines::{Call, Outcome};
use harness::abi::Abi;
use harness::state::State;
use std::ffi::{c_int, c_short};
use std::ops::{Deref, DerefMut};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The text of a check that has not ended, in every release that has one.
const RUNNING: &str = " still running";

/// A path with its checker.
pub(crate) struct Instance<'a> {
    abi: Abi,
    plugin: &'a Loaded,
    path: Box<dyn HostPath + 'a>,
}

impl<'a> Deref for Instance<'a> {
    type Target = dyn HostPath + 'a;

    fn deref(&self) -> &Self::Target {
        &*self.path
    }
}

impl DerefMut for Instance<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.path
    }
}

impl<'a> Instance<'a> {
    /// A path as the host sets it up, before `libcheck_init`.
    ///
    /// # Panics
    /// Without memory.
    pub(crate) fn new(of: &'a Implementation, fd: c_int, timeout: u32) -> Instance<'a> {
        let Implementation {
            abi, ref plugin, ..
        } = *of;
        let path: Box<dyn HostPath> = match plugin {
            Loaded::Entries(plugin) => Box::new(DirectPath::new(plugin, abi, fd, timeout)),
            Loaded::Function(plugin, library) => {
                Box::new(LibraryPath::new(library, Some(plugin), fd, timeout))
            }
        };
        Instance { abi, plugin, path }
    }

    /// The text of a message.
    pub(crate) fn text_of(&self, message: c_short) -> &'a str {
        self.plugin.message(message)
    }

    /// A check by a host that polls until the verdict is there. `after` each call gets what it returned.
    ///
    /// # Panics
    /// When that takes longer than any check of an instant device does.
    pub(crate) fn verdict(&mut self, mut after: impl FnMut(Call, Outcome)) -> State {
        const LIMIT: Duration = Duration::from_secs(10);
        let begin = Instant::now();
        let mut call = Call::Check;
        loop {
            let state = match call {
                Call::Check => self.check(),
                _ => self.pending().unwrap_or(State::PENDING),
            };
            if state != State::PENDING || self.text_of(self.message()) != RUNNING {
                after(call, Outcome::Verdict(state));
                return state;
            }
            after(call, Outcome::Running);
            assert!(begin.elapsed() < LIMIT, "a check does not end");
            sleep(Duration::from_micros(20));
            if self.abi != Abi::V0_7_9 {
                call = Call::Pending;
            }
        }
    }

    /// `libcheck_free`, as [`HostPath::free`].
    pub(crate) fn free(self) -> bool {
        self.path.free()
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! A path whose plugin this program calls.

use crate::scsi::host_path::{HostPath, NO_VALUE};
use harness::abi::Abi;
use harness::checker_struct::Checker;
use harness::host;
use harness::plugin::Plugin;
use harness::state::State;
use std::ffi::{c_int, c_long, c_short, c_void};
use std::ptr::null_mut;

/// A path with a `struct checker`.
pub(crate) struct DirectPath<'a> {
    plugin: &'a Plugin,
    abi: Abi,
    checker: Checker,
    /// 0.15: the map's word, while the path has a map.
    word: Option<Box<c_long>>,
}

impl<'a> DirectPath<'a> {
    /// A path without a map, before `libcheck_init`.
    ///
    /// # Panics
    /// Without memory.
    pub(crate) fn new(plugin: &'a Plugin, abi: Abi, fd: c_int, timeout: u32) -> DirectPath<'a> {
        #[expect(clippy::expect_used, reason = "a test without memory may end")]
        let mut checker =
            Checker::new(abi, host::class(), fd, timeout).expect("memory for a struct checker");
        checker.leave_map();
        DirectPath {
            plugin,
            abi,
            checker,
            word: None,
        }
    }

    /// A call with the struct and 0.15's second argument. Afterwards nothing must have changed but what
    /// belongs to the plugin.
    fn call<R>(&mut self, call: impl FnOnce(&Plugin, *mut c_void, *mut c_void) -> R) -> R {
        let word = self.word.as_deref_mut();
        let word = word.map_or(null_mut(), |word| (&raw mut *word).cast());
        let result = call(self.plugin, self.checker.as_ptr(), word);
        assert_eq!(self.checker.harm(), None);
        result
    }
}

impl HostPath for DirectPath<'_> {
    fn init(&mut self) -> c_int {
        // SAFETY: `call` passes a struct of this plugin's ABI.
        self.call(|plugin, checker, _| unsafe { plugin.init(checker) })
    }

    fn join_map(&mut self, with_value: bool) {
        if self.abi == Abi::V0_15 {
            self.word = Some(Box::new(NO_VALUE));
            return;
        }
        self.checker.join_map();
        if with_value {
            self.checker.invite_map_value();
            // SAFETY: as in `init`.
            self.call(|plugin, checker, _| unsafe { plugin.mp_init(checker) });
        }
    }

    fn map_value(&self) -> Option<c_long> {
        match &self.word {
            Some(word) => (**word != NO_VALUE).then_some(**word),
            None => self.checker.map_value().map(c_long::from),
        }
    }

    fn set_map_value(&mut self, value: c_int) {
        match &mut self.word {
            Some(word) => **word = c_long::from(value != 0),
            None => self.checker.set_map_value(value),
        }
    }

    fn message(&self) -> c_short {
        self.checker.msgid()
    }

    fn set_message(&mut self, id: c_short) {
        self.checker.set_msgid(id);
    }

    fn check(&mut self) -> State {
        // SAFETY: as in `init`; the word outlives the call, and only 0.15 has a second argument.
        let state = self.call(|plugin, checker, word| unsafe { plugin.check(checker, word) });
        self.checker.set_path_state(state);
        state
    }

    fn pending(&mut self) -> Option<State> {
        if self.checker.path_state() != Some(State::PENDING) {
            return None;
        }
        // SAFETY: as in `check`.
        let state = self.call(|plugin, checker, word| unsafe { plugin.pending(checker, word) })?;
        self.checker.set_path_state(state);
        Some(state)
    }

    fn need_wait(&mut self) -> bool {
        if self.checker.path_state() != Some(State::PENDING) {
            return false;
        }
        // SAFETY: as in `init`.
        let wait = self.call(|plugin, checker, _| unsafe { plugin.need_wait(checker) });
        wait.unwrap_or(false)
    }

    fn free(mut self: Box<Self>) -> bool {
        // SAFETY: as in `init`; the struct is not used after this.
        self.call(|plugin, checker, _| unsafe { plugin.free(checker) });
        self.checker.context().is_null()
    }
}

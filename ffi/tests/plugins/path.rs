// SPDX-License-Identifier: LGPL-2.0-or-later

//! Plugins and paths, with the calls of a host in its order.

use crate::isolated::built;
use crate::system::within;
use harness::abi::Abi;
use harness::checker_struct::Checker;
use harness::plugin::Plugin;
use harness::state::State;
use std::ffi::{c_int, c_long, c_void};
use std::ptr::null_mut;
use std::time::Duration;

/// The ABIs that a program without libmultipath can name.
pub(crate) const ABIS: [Abi; 3] = [Abi::V0_7_9, Abi::V0_11, Abi::V0_15];

/// The checkers that send SCSI commands, on workers.
pub(crate) const SCSI: &[&str] = checkers::PROBES;
pub(crate) const ALL: &[&str] = checkers::NAMES;

/// A loaded plugin, with the entry points of every ABI.
pub(crate) struct Loaded {
    /// 0.11's hosts look up all entry points.
    entries: Plugin,
    /// 0.15's pass the map's word.
    with_word: Plugin,
}

impl Loaded {
    pub(crate) fn open(name: &str) -> Loaded {
        let file = built().join(format!("libcheck{name}.so"));
        Loaded {
            entries: Plugin::load(&file, Abi::V0_11).unwrap(),
            with_word: Plugin::load(&file, Abi::V0_15).unwrap(),
        }
    }

    /// Loads the plugin and names the ABI.
    pub(crate) fn assuming(name: &str, abi: Abi) -> Loaded {
        let plugin = Loaded::open(name);
        assert_eq!(plugin.assume(abi), 0);
        plugin
    }

    /// `libcheck_assume_abi` with the ABI's letter.
    pub(crate) fn assume(&self, abi: Abi) -> c_int {
        self.assume_letter(abi.letter().into())
    }

    pub(crate) fn assume_letter(&self, letter: c_int) -> c_int {
        self.entries.assume_abi(letter).unwrap()
    }

    pub(crate) fn reset(&self) {
        self.entries.reset();
    }

    /// The functions, to be called with any pointer.
    pub(crate) fn entries(&self) -> &Plugin {
        &self.entries
    }

    /// Closes it. A plugin stays mapped nevertheless.
    pub(crate) fn unload(self) {
        self.entries.unload();
        self.with_word.unload();
    }
}

/// A path: its `struct checker`, verified after every call.
pub(crate) struct Path<'a> {
    plugin: &'a Loaded,
    abi: Abi,
    checker: Checker,
    map_word: Box<c_long>,
}

impl<'a> Path<'a> {
    /// A path with a map and without an instance.
    pub(crate) fn new(plugin: &'a Loaded, abi: Abi, fd: c_int, timeout: u32) -> Path<'a> {
        let mut checker = Checker::new(abi, null_mut(), fd, timeout).unwrap();
        checker.invite_map_value();
        Path {
            plugin,
            abi,
            checker,
            map_word: Box::new(-1),
        }
    }

    pub(crate) fn set_fd(&mut self, fd: c_int) {
        self.checker.set_fd(fd);
    }

    pub(crate) fn message(&self) -> i16 {
        self.checker.msgid()
    }

    pub(crate) fn has_instance(&self) -> bool {
        !self.checker.context().is_null()
    }

    pub(crate) fn map_value(&self) -> Option<c_int> {
        self.checker.map_value()
    }

    /// Sets the map's value, if there is memory for it.
    pub(crate) fn set_map_value(&mut self, value: c_int) {
        self.checker.set_map_value(value);
    }

    /// Makes a call, and verifies that only the plugin's own members were written.
    fn call<T>(&mut self, call: impl FnOnce(&Loaded, *mut c_void, *mut c_void) -> T) -> T {
        let word: *mut c_long = &raw mut *self.map_word;
        let result = call(self.plugin, self.checker.as_ptr(), word.cast());
        let harm = self.checker.harm();
        assert!(harm.is_none(), "{harm:?}");
        result
    }

    pub(crate) fn init(&mut self) -> c_int {
        // SAFETY: a struct of the plugin's ABI, used by this thread alone, as in the calls below.
        self.call(|plugin, checker, _| unsafe { plugin.entries.init(checker) })
    }

    /// As a host calls it: the message is cleared before, and the state stored afterwards.
    pub(crate) fn check(&mut self) -> State {
        self.checker.set_msgid(0);
        let with_word = self.abi == Abi::V0_15;
        // SAFETY: as above, and the word is one.
        let state = self.call(|plugin, checker, word| unsafe {
            let function = if with_word {
                &plugin.with_word
            } else {
                &plugin.entries
            };
            function.check(checker, word)
        });
        self.checker.set_path_state(state);
        state
    }

    pub(crate) fn pending(&mut self) -> State {
        let with_word = self.abi == Abi::V0_15;
        // SAFETY: as in `check`.
        let state = self.call(|plugin, checker, word| unsafe {
            let function = if with_word {
                &plugin.with_word
            } else {
                &plugin.entries
            };
            function.pending(checker, word).unwrap()
        });
        self.checker.set_path_state(state);
        state
    }

    pub(crate) fn need_wait(&mut self) -> bool {
        // SAFETY: as above.
        self.call(|plugin, checker, _| unsafe { plugin.entries.need_wait(checker) })
            .unwrap()
    }

    pub(crate) fn free(&mut self) {
        // SAFETY: as above.
        self.call(|plugin, checker, _| unsafe { plugin.entries.free(checker) });
        assert!(!self.has_instance());
    }

    /// `None` if the plugin has no such function.
    pub(crate) fn mp_init(&mut self) -> Option<c_int> {
        // SAFETY: as above.
        self.call(|plugin, checker, _| unsafe { plugin.entries.mp_init(checker) })
    }

    /// One round of a host. Returns the state, from whichever call it comes.
    pub(crate) fn round(&mut self) -> State {
        let state = self.check();
        if self.abi == Abi::V0_7_9 || state != State::PENDING {
            return state;
        }
        if self.need_wait() {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.pending()
    }

    /// From init to free.
    pub(crate) fn complete_use(&mut self) {
        if self.init() == 0 {
            self.round();
            self.check();
            self.free();
        }
        self.plugin.reset();
    }

    /// Rounds until there is a verdict.
    pub(crate) fn verdict(&mut self) -> State {
        let mut state = State::PENDING;
        within(|| {
            state = self.round();
            state != State::PENDING
        });
        state
    }
}

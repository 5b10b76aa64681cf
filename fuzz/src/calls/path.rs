// SPDX-License-Identifier: LGPL-2.0-or-later

//! A path of the host: its `struct checker`, and calls that check what the plugin does to it.

use super::device::FILE;
use super::{Functions, UNCHECKED};
use crate::input::Input;
use checkers_ffi::{Abi, Layout};
use std::ffi::{c_int, c_long, c_void};
use std::ptr::null_mut;
use std::sync::atomic::Ordering::SeqCst;

/// `PATH_DISCONNECTED`, which hosts before 0.14 do not have.
const DISCONNECTED: c_int = 10;

/// A `struct checker` in memory of exactly its size.
pub(super) struct Path {
    abi: Abi,
    bytes: Vec<u64>,
    map: Box<*mut c_void>,
    map_word: Box<c_long>,
    /// The state that the last call returned.
    state: c_int,
}

impl Path {
    pub(super) fn new(abi: Abi) -> Path {
        Path {
            abi,
            bytes: vec![0; Layout::of(abi).size() / 8],
            map: Box::new(null_mut()),
            map_word: Box::new(-1),
            state: UNCHECKED,
        }
    }

    fn pointer(&mut self) -> *mut c_void {
        self.bytes.as_mut_ptr().cast()
    }

    fn all(&self) -> Vec<u8> {
        self.bytes
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect()
    }

    fn set(&mut self, offset: usize, value: &[u8]) {
        let mut bytes = self.all();
        bytes[offset..offset + value.len()].copy_from_slice(value);
        for (word, bytes) in self.bytes.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_ne_bytes(std::array::from_fn(|at| bytes[at]));
        }
    }

    /// The offset of a member that every ABI has.
    fn offset(&self, member: &str) -> usize {
        self.offset_if_any(member)
            .unwrap_or_else(|| panic!("no {member}"))
    }

    fn offset_if_any(&self, member: &str) -> Option<usize> {
        Layout::of(self.abi).offset_of(member)
    }

    /// The state that the last call returned.
    pub(super) fn state(&self) -> c_int {
        self.state
    }

    pub(super) fn has_context(&self) -> bool {
        let at = self.offset("context");
        self.all()[at..at + 8] != [0; 8]
    }

    /// Sets descriptor and time limit, in seconds.
    pub(super) fn set_device(&mut self, fd: c_int, timeout: u32) {
        self.set(self.offset("fd"), &fd.to_ne_bytes());
        self.set(self.offset("timeout"), &timeout.to_ne_bytes());
    }

    /// Fills in the host's members.
    pub(super) fn contents(&mut self, input: &mut Input<'_>) {
        let kinds = input.byte();
        let fd = match kinds & 3 {
            0 | 1 => FILE.load(SeqCst),
            2 => -1,
            _ => 1_000_000 + c_int::from(input.byte()),
        };
        let timeout = match kinds >> 2 & 3 {
            0 => 30,
            1 => 0,
            2 => c_int::from(input.byte()),
            _ => input.word(),
        };
        self.set_device(fd, timeout.cast_unsigned());
        let disabled = c_int::from(kinds & 16 != 0);
        self.set(self.offset("disable"), &disabled.to_ne_bytes());
        if kinds & 32 != 0 {
            self.set(self.offset("msgid"), &[input.byte(), input.byte()]);
        }
        if let Some(at) = self.offset_if_any("path_state") {
            let state = if kinds & 64 != 0 {
                input.word()
            } else {
                UNCHECKED
            };
            self.set(at, &state.to_ne_bytes());
        }
        if let Some(at) = self.offset_if_any("mpcontext") {
            let pointer: *mut *mut c_void = &raw mut *self.map;
            let pointer = if kinds & 128 != 0 {
                pointer
            } else {
                null_mut()
            };
            self.set(at, &pointer.expose_provenance().to_ne_bytes());
        }
    }

    /// Makes a call, and checks that only the plugin's own members were written.
    fn call<T>(&mut self, call: impl FnOnce(*mut c_void, *mut c_long) -> T) -> T {
        let (message, context) = (self.offset("msgid"), self.offset("context"));
        let foreign = |bytes: Vec<u8>| {
            let mut bytes = bytes;
            bytes[message..message + 2].fill(0);
            bytes[context..context + 8].fill(0);
            bytes
        };
        let before = foreign(self.all());
        let word = match self.abi {
            Abi::V0_15 if self.state % 2 == 0 => null_mut(),
            Abi::V0_15 => &raw mut *self.map_word,
            // Older hosts pass no second argument: the plugin must not read this address.
            Abi::V0_7_9 | Abi::V0_11 | Abi::V0_14 => std::ptr::without_provenance_mut(8),
        };
        let result = call(self.pointer(), word);
        assert_eq!(
            before,
            foreign(self.all()),
            "a member of the host was written"
        );
        result
    }

    pub(super) fn init(&mut self, functions: &Functions) {
        if !self.has_context() {
            // SAFETY: a struct of the ABI that was assumed, used by this thread alone.
            let code = self.call(|checker, _| unsafe { (functions.init)(checker) });
            assert_eq!(code == 0, self.has_context(), "init returned {code}");
        }
    }

    pub(super) fn check(&mut self, functions: &Functions) {
        let before = self.message();
        // SAFETY: as in `init`.
        let state = self.call(|checker, map| unsafe { (functions.check)(checker, map) });
        self.returned(state, before, functions);
    }

    pub(super) fn pending(&mut self, functions: &Functions) {
        if self.abi != Abi::V0_7_9 {
            let before = self.message();
            // SAFETY: as in `init`.
            let state = self.call(|checker, map| unsafe { (functions.pending)(checker, map) });
            self.returned(state, before, functions);
        }
    }

    fn message(&self) -> i16 {
        let (at, bytes) = (self.offset("msgid"), self.all());
        i16::from_ne_bytes([bytes[at], bytes[at + 1]])
    }

    /// `before` is the message id that the struct had before the call.
    fn returned(&mut self, state: c_int, before: i16, functions: &Functions) {
        let member = self.offset_if_any("path_state");
        let stored = member.map(|at| {
            let bytes = self.all();
            c_int::from_ne_bytes(std::array::from_fn(|index| bytes[at + index]))
        });
        assert!(
            (0..=DISCONNECTED).contains(&state) || stored == Some(state),
            "state {state}, stored {stored:?}"
        );
        if self.abi != Abi::V0_15 && stored != Some(state) {
            assert_ne!(state, DISCONNECTED);
        }
        self.state = state;
        if let Some(at) = member {
            self.set(at, &state.to_ne_bytes());
        }
        // The id before the call may have been any number.
        let id = self.message();
        if id != before {
            let own = usize::try_from(id).ok().and_then(|id| id.checked_sub(100));
            match own {
                Some(own) => assert!(own < functions.messages, "message {id}"),
                None => assert!((0..=10).contains(&id), "message {id}"),
            }
        }
    }

    pub(super) fn need_wait(&mut self, functions: &Functions) {
        // SAFETY: as in `init`.
        let wants = self.call(|checker, _| unsafe { (functions.need_wait)(checker) });
        assert!(!wants || self.has_context());
    }

    pub(super) fn free(&mut self, functions: &Functions) {
        // SAFETY: as in `init`.
        self.call(|checker, _| unsafe { (functions.free)(checker) });
        assert!(!self.has_context());
    }

    pub(super) fn mp_init(&mut self, functions: &Functions) {
        if self.abi != Abi::V0_15 {
            // SAFETY: as in `init`.
            self.call(|checker, _| unsafe { (functions.mp_init)(checker) });
        }
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        // SAFETY: NULL, or memory that `mp_init` has allocated for the host to free.
        unsafe { libc::free(*self.map) };
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Reading and writing a host's `struct checker`.
//!
//! A plugin writes only what it owns: `msgid`, `context` and what `mpcontext` points to. The other
//! members are written by the library form, which is the host.

use super::layout::Member;
use super::{Abi, Layout};
use checkers_core::{Call, MapMemory, MessageId, Mode, PathState, Seconds, Verdict};
use std::ffi::{c_int, c_long, c_void};
use std::ptr::{NonNull, null_mut};

/// "No value" in the word that a map keeps for its checkers, 0.15.0 and later.
const NO_MAP_VALUE: c_long = -1;

/// A host's `struct checker`. It is read and written member by member through a raw pointer; no Rust
/// reference to it is ever made, since the host has pointers to it too.
#[derive(Clone, Copy, Debug)]
pub struct HostChecker {
    abi: Abi,
    memory: NonNull<c_void>,
    /// The map's word, for hosts that pass it as an argument.
    map_word: Option<NonNull<c_long>>,
}

impl HostChecker {
    /// Returns `None` for a NULL pointer. `map_word` is the second argument of functions of 0.15.0 and
    /// later; older hosts pass none, so it is ignored for them.
    ///
    /// # Safety
    /// `checker` must be NULL or point to a `struct checker` of `abi` that stays valid, and is used by no
    /// other thread, as long as the value is used. From 0.15.0 on, the same holds for `map_word` and the
    /// `long` that it points to.
    pub unsafe fn new(
        abi: Abi,
        checker: *mut c_void,
        map_word: *mut c_long,
    ) -> Option<HostChecker> {
        Some(HostChecker {
            abi,
            memory: NonNull::new(checker)?,
            map_word: match abi {
                Abi::V0_15 => NonNull::new(map_word),
                Abi::V0_7_9 | Abi::V0_11 | Abi::V0_14 => None,
            },
        })
    }

    fn layout(self) -> &'static Layout {
        Layout::of(self.abi)
    }

    /// `member` must be one of [`HostChecker::layout`], which every call in this file keeps to.
    fn read<T: Copy>(self, member: Member<T>) -> T {
        // SAFETY: `new`'s caller guarantees a live struct of the ABI, whose layout has the member.
        unsafe { self.memory.byte_add(member.offset()).cast::<T>().read() }
    }

    /// As [`HostChecker::read`].
    fn write<T: Copy>(self, member: Member<T>, value: T) {
        // SAFETY: as in `read`.
        unsafe {
            self.memory
                .byte_add(member.offset())
                .cast::<T>()
                .write(value)
        }
    }

    /// The ABI of the host.
    pub fn abi(self) -> Abi {
        self.abi
    }

    /// The struct itself, for functions that take it.
    pub fn as_ptr(self) -> *mut c_void {
        self.memory.as_ptr()
    }

    /// The host's call, typed. `with_map` is for checkers that use the map's value.
    pub fn call(self, mode: Mode, with_map: bool) -> Call {
        Call {
            fd: self.fd(),
            timeout: Seconds(self.read(self.layout().timeout)),
            mode,
            delivery: self.abi.delivery(),
            path_state: self.path_state().unwrap_or(PathState::Unchecked),
            map: if with_map {
                self.map()
            } else {
                MapMemory::Absent
            },
            clock: kernel_fd::monotonic,
        }
    }

    /// Sets the message of a verdict and returns the state's number for the host.
    pub fn report(self, verdict: Verdict) -> c_int {
        let verdict = self.abi.adapt(verdict);
        if let Some(message) = verdict.message {
            self.set_message(message);
        }
        verdict.state.as_raw()
    }

    /// The state that the host has stored, UNCHECKED for a number without a meaning. `None` up to 0.10.x,
    /// where the struct has no such member.
    pub fn path_state(self) -> Option<PathState> {
        let raw = self.read(self.layout().path_state?);
        Some(PathState::from_raw(raw).unwrap_or(PathState::Unchecked))
    }

    /// Stores the state, where the struct has a member for it.
    pub fn set_path_state(self, state: PathState) {
        if let Some(member) = self.layout().path_state {
            self.write(member, state.as_raw());
        }
    }

    /// The class of the path, NULL without one.
    pub fn class(self) -> *mut c_void {
        self.read(self.layout().cls)
    }

    /// Sets the class of the path.
    pub fn set_class(self, class: *mut c_void) {
        self.write(self.layout().cls, class);
    }

    /// The path's descriptor number.
    pub fn fd(self) -> c_int {
        self.read(self.layout().fd)
    }

    /// Sets the path's descriptor number.
    pub fn set_fd(self, fd: c_int) {
        self.write(self.layout().fd, fd);
    }

    /// Whether the host has disabled the checker for the path.
    pub fn is_disabled(self) -> bool {
        self.read(self.layout().disable) != 0
    }

    /// Disables the checker for the path, or enables it.
    pub fn set_disabled(self, disabled: bool) {
        self.write(self.layout().disable, c_int::from(disabled));
    }

    /// The path's message.
    pub fn message(self) -> MessageId {
        MessageId::from_raw(self.read(self.layout().msgid))
    }

    /// Sets the path's message.
    pub fn set_message(self, message: MessageId) {
        self.write(self.layout().msgid, message.as_raw());
    }

    /// The checker's own pointer, NULL without an instance.
    pub fn context(self) -> *mut c_void {
        self.read(self.layout().context)
    }

    /// Sets the checker's own pointer.
    pub fn set_context(self, context: *mut c_void) {
        self.write(self.layout().context, context);
    }

    /// Zeroes the struct and sets the descriptor to -1, whatever the memory held before.
    pub fn clear(self) {
        // SAFETY: `new`'s caller guarantees a struct of this size; zero is a value of every member.
        unsafe {
            self.memory
                .cast::<u8>()
                .write_bytes(0, self.layout().size())
        };
        self.set_fd(-1);
    }

    /// The address of the host's pointer to a map's memory, up to 0.14.x. NULL without a map.
    pub fn map_pointer(self) -> *mut *mut c_void {
        match self.layout().mpcontext {
            Some(member) => self.read(member),
            None => null_mut(),
        }
    }

    /// Sets the address of the host's pointer to a map's memory, up to 0.14.x.
    pub fn set_map_pointer(self, pointer: *mut *mut c_void) {
        if let Some(member) = self.layout().mpcontext {
            self.write(member, pointer);
        }
    }

    /// The map's memory itself, up to 0.14.x: an `int` that `libcheck_mp_init` has allocated.
    fn map_int(self) -> Option<NonNull<c_int>> {
        let pointer = NonNull::new(self.map_pointer())?;
        // SAFETY: the host guarantees that a non-NULL mpcontext points to its pointer variable.
        NonNull::new(unsafe { pointer.read() }.cast())
    }

    fn map(self) -> MapMemory {
        if let Some(word) = self.map_word {
            // SAFETY: `new`'s caller guarantees the word.
            return match unsafe { word.read() } {
                NO_MAP_VALUE => MapMemory::Unset,
                value => MapMemory::Set(c_int::from(value != 0)),
            };
        }
        match self.map_int() {
            // SAFETY: only `libcheck_mp_init` fills mpcontext, with memory for an int.
            Some(int) => MapMemory::Set(unsafe { int.read() }),
            None if self.map_pointer().is_null() => MapMemory::Absent,
            None => MapMemory::Unset,
        }
    }

    /// Writes the map's value, where there is memory for it.
    pub fn set_map(self, value: c_int) {
        if let Some(word) = self.map_word {
            // SAFETY: `new`'s caller guarantees the word.
            unsafe { word.write(c_long::from(value)) };
        } else if let Some(int) = self.map_int() {
            // SAFETY: as in `map`.
            unsafe { int.write(value) };
        }
    }
}

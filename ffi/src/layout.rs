//! `struct checker`, as each era lays it out.
//!
//! Plain C structures with natural alignment; the offsets below are those of 64-bit systems and are
//! proved by the compiler. A plugin writes only what it owns: `msgid`, `context` and what `mpcontext`
//! points to. The rest is written by the library form, which is the host.

use crate::era::Era;
use crate::host::Host;
use checkers_core::{Call, MapMemory, MessageId, Mode, PathState, Seconds, Verdict};
use std::ffi::{c_int, c_long, c_short, c_uint, c_void};
use std::ptr::{NonNull, null_mut};

/// 0.7.9 to 0.10.x.
#[repr(C)]
struct CheckerB {
    cls: *mut c_void,
    fd: c_int,
    timeout: c_uint,
    disable: c_int,
    msgid: c_short,
    context: *mut c_void,
    mpcontext: *mut *mut c_void,
}

/// 0.11.0 to 0.14.x.
#[repr(C)]
struct CheckerC {
    cls: *mut c_void,
    fd: c_int,
    timeout: c_uint,
    disable: c_int,
    path_state: c_int,
    msgid: c_short,
    context: *mut c_void,
    mpcontext: *mut *mut c_void,
}

/// 0.15.0 and later.
#[repr(C)]
struct CheckerD {
    cls: *mut c_void,
    fd: c_int,
    timeout: c_uint,
    disable: c_int,
    path_state: c_int,
    msgid: c_short,
    context: *mut c_void,
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    use std::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(CheckerB, fd) == 8);
    assert!(offset_of!(CheckerB, timeout) == 12);
    assert!(offset_of!(CheckerB, disable) == 16);
    assert!(offset_of!(CheckerB, msgid) == 20);
    assert!(offset_of!(CheckerB, context) == 24);
    assert!(offset_of!(CheckerB, mpcontext) == 32);
    assert!(size_of::<CheckerB>() == 40 && align_of::<CheckerB>() == 8);

    assert!(offset_of!(CheckerC, fd) == 8);
    assert!(offset_of!(CheckerC, timeout) == 12);
    assert!(offset_of!(CheckerC, disable) == 16);
    assert!(offset_of!(CheckerC, path_state) == 20);
    assert!(offset_of!(CheckerC, msgid) == 24);
    assert!(offset_of!(CheckerC, context) == 32);
    assert!(offset_of!(CheckerC, mpcontext) == 40);
    assert!(size_of::<CheckerC>() == 48 && align_of::<CheckerC>() == 8);

    assert!(offset_of!(CheckerD, fd) == 8);
    assert!(offset_of!(CheckerD, timeout) == 12);
    assert!(offset_of!(CheckerD, disable) == 16);
    assert!(offset_of!(CheckerD, path_state) == 20);
    assert!(offset_of!(CheckerD, msgid) == 24);
    assert!(offset_of!(CheckerD, context) == 32);
    assert!(size_of::<CheckerD>() == 40 && align_of::<CheckerD>() == 8);
};

/// Size and offsets of one era's `struct checker`, for whoever compares them with a C header.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// In bytes.
    pub size: usize,
    /// Every member with its offset, in order.
    pub members: &'static [(&'static str, usize)],
}

macro_rules! layout {
    ($checker:ty: $($member:ident),*) => {
        Layout {
            size: size_of::<$checker>(),
            members: &[$((stringify!($member), std::mem::offset_of!($checker, $member))),*],
        }
    };
}

impl Layout {
    /// 0.7.9 to 0.10.x.
    pub const B: Layout = layout!(CheckerB: cls, fd, timeout, disable, msgid, context, mpcontext);
    /// 0.11.0 to 0.14.x.
    pub const C: Layout =
        layout!(CheckerC: cls, fd, timeout, disable, path_state, msgid, context, mpcontext);
    /// 0.15.0 and later.
    pub const D: Layout = layout!(CheckerD: cls, fd, timeout, disable, path_state, msgid, context);
}

/// "No value" in the word that a map keeps for its checkers, 0.15.0 and later.
const NO_MAP_VALUE: c_long = -1;

/// The host's struct, read and written field by field through raw pointers: the host has pointers to
/// it too, so no Rust reference to it is ever made.
#[derive(Clone, Copy)]
pub(crate) struct RawChecker {
    era: Era,
    checker: NonNull<c_void>,
    /// The map's word in era D, else NULL.
    map_word: *mut c_long,
}

/// Reads `$field` in whichever layout the era has.
macro_rules! read {
    ($raw:expr, $field:ident) => {
        match $raw.era {
            // SAFETY: `RawChecker::new`'s caller vouches for a live struct of this era.
            Era::B => unsafe { (*$raw.checker.cast::<CheckerB>().as_ptr()).$field },
            // SAFETY: likewise.
            Era::C | Era::CPrime => unsafe { (*$raw.checker.cast::<CheckerC>().as_ptr()).$field },
            // SAFETY: likewise.
            Era::D => unsafe { (*$raw.checker.cast::<CheckerD>().as_ptr()).$field },
        }
    };
}

/// Writes `$field` in whichever layout the era has.
macro_rules! write {
    ($raw:expr, $field:ident, $value:expr) => {{
        let value = $value;
        match $raw.era {
            // SAFETY: `RawChecker::new`'s caller vouches for a live struct of this era.
            Era::B => unsafe { (*$raw.checker.cast::<CheckerB>().as_ptr()).$field = value },
            Era::C | Era::CPrime => {
                // SAFETY: likewise.
                unsafe { (*$raw.checker.cast::<CheckerC>().as_ptr()).$field = value }
            }
            // SAFETY: likewise.
            Era::D => unsafe { (*$raw.checker.cast::<CheckerD>().as_ptr()).$field = value },
        }
    }};
}

impl RawChecker {
    /// `None` for a NULL pointer. `map_word` is the second argument of era D's functions; other eras'
    /// hosts pass none, so it is looked at in era D only.
    ///
    /// # Safety
    /// `checker` must be NULL or point to a `struct checker` of `era` that stays valid, and is used
    /// by nobody else, while the value is in use. In era D `map_word` must be NULL or point to a
    /// `long` for which the same holds.
    pub(crate) unsafe fn new(
        era: Era,
        checker: *mut c_void,
        map_word: *mut c_long,
    ) -> Option<RawChecker> {
        let map_word = if era == Era::D { map_word } else { null_mut() };
        Some(RawChecker {
            era,
            checker: NonNull::new(checker)?,
            map_word,
        })
    }

    /// The call that the host makes, typed. `with_map` is for checkers that use the map's value.
    pub(crate) fn call(self, host: &Host, with_map: bool) -> Call {
        // SAFETY: `new`'s caller vouches for the struct.
        let sync = unsafe { host.is_sync(self.checker.as_ptr()) };
        Call {
            fd: read!(self, fd),
            timeout: Seconds(read!(self, timeout)),
            mode: if sync { Mode::Sync } else { Mode::Async },
            delivery: self.era.delivery(),
            path_state: self.path_state(),
            map: if with_map {
                self.map()
            } else {
                MapMemory::Absent
            },
            clock: kernel_fd::monotonic,
        }
    }

    /// The state that the host has stored, where it stores one.
    pub(crate) fn path_state(self) -> PathState {
        self.stored_state().unwrap_or(PathState::Unchecked)
    }

    /// What the host has stored in `path_state`; `None` in era B, which has no such member.
    pub(crate) fn stored_state(self) -> Option<PathState> {
        let raw = match self.era {
            Era::B => return None,
            // SAFETY: `new`'s caller vouches for a live struct of this era.
            Era::C | Era::CPrime => unsafe {
                (*self.checker.cast::<CheckerC>().as_ptr()).path_state
            },
            // SAFETY: likewise.
            Era::D => unsafe { (*self.checker.cast::<CheckerD>().as_ptr()).path_state },
        };
        Some(PathState::from_raw(raw).unwrap_or(PathState::Unchecked))
    }

    /// Sets `path_state`, where there is one.
    pub(crate) fn store_state(self, state: PathState) {
        let state = state.as_raw();
        match self.era {
            Era::B => {}
            // SAFETY: `new`'s caller vouches for a live struct of this era.
            Era::C | Era::CPrime => unsafe {
                (*self.checker.cast::<CheckerC>().as_ptr()).path_state = state;
            },
            // SAFETY: likewise.
            Era::D => unsafe {
                (*self.checker.cast::<CheckerD>().as_ptr()).path_state = state;
            },
        }
    }

    pub(crate) fn era(self) -> Era {
        self.era
    }

    /// The struct itself, for functions that take it.
    pub(crate) fn as_ptr(self) -> *mut c_void {
        self.checker.as_ptr()
    }

    pub(crate) fn class(self) -> *mut c_void {
        read!(self, cls)
    }

    pub(crate) fn set_class(self, class: *mut c_void) {
        write!(self, cls, class);
    }

    pub(crate) fn descriptor(self) -> c_int {
        read!(self, fd)
    }

    pub(crate) fn set_descriptor(self, fd: c_int) {
        write!(self, fd, fd);
    }

    pub(crate) fn disabled(self) -> bool {
        read!(self, disable) != 0
    }

    pub(crate) fn disable(self, disabled: bool) {
        write!(self, disable, c_int::from(disabled));
    }

    pub(crate) fn message(self) -> MessageId {
        MessageId::from_raw(read!(self, msgid))
    }

    /// Makes the struct one without a class and without a descriptor, whatever it was before.
    pub(crate) fn clear(self) {
        let size = match self.era {
            Era::B => size_of::<CheckerB>(),
            Era::C | Era::CPrime => size_of::<CheckerC>(),
            Era::D => size_of::<CheckerD>(),
        };
        // SAFETY: `new`'s caller vouches for a struct of this era; zero is a value of every member.
        unsafe { self.checker.cast::<u8>().write_bytes(0, size) };
        self.set_descriptor(-1);
    }

    /// Tells the host the message, and gives the value to return.
    pub(crate) fn answer(self, verdict: Verdict) -> c_int {
        let verdict = self.era.understood(verdict);
        if let Some(message) = verdict.message {
            self.say(message);
        }
        verdict.state.as_raw()
    }

    pub(crate) fn say(self, message: MessageId) {
        write!(self, msgid, message.as_raw());
    }

    pub(crate) fn context(self) -> *mut c_void {
        read!(self, context)
    }

    pub(crate) fn set_context(self, context: *mut c_void) {
        write!(self, context, context);
    }

    /// Where the host keeps the pointer to a map's memory, up to 0.14.x; NULL without a map.
    pub(crate) fn map_pointer(self) -> *mut *mut c_void {
        match self.era {
            // SAFETY: `new`'s caller vouches for a live struct of this era.
            Era::B => unsafe { (*self.checker.cast::<CheckerB>().as_ptr()).mpcontext },
            // SAFETY: likewise.
            Era::C | Era::CPrime => unsafe {
                (*self.checker.cast::<CheckerC>().as_ptr()).mpcontext
            },
            Era::D => null_mut(),
        }
    }

    /// Sets where the host keeps the pointer to a map's memory, up to 0.14.x.
    pub(crate) fn set_map_pointer(self, place: *mut *mut c_void) {
        match self.era {
            // SAFETY: `new`'s caller vouches for a live struct of this era.
            Era::B => unsafe { (*self.checker.cast::<CheckerB>().as_ptr()).mpcontext = place },
            // SAFETY: likewise.
            Era::C | Era::CPrime => unsafe {
                (*self.checker.cast::<CheckerC>().as_ptr()).mpcontext = place;
            },
            Era::D => {}
        }
    }

    /// The map's memory itself, up to 0.14.x: an `int` that `libcheck_mp_init` has allocated.
    fn map_int(self) -> Option<NonNull<c_int>> {
        let pointer = NonNull::new(self.map_pointer())?;
        // SAFETY: a non-NULL mpcontext points to the host's pointer variable.
        NonNull::new(unsafe { pointer.read() }.cast())
    }

    fn map(self) -> MapMemory {
        if let Some(word) = NonNull::new(self.map_word) {
            // SAFETY: `new`'s caller vouches for the word.
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

    /// Writes the map's value back, where there is a place for it.
    pub(crate) fn set_map(self, value: c_int) {
        if let Some(word) = NonNull::new(self.map_word) {
            // SAFETY: `new`'s caller vouches for the word.
            unsafe { word.write(c_long::from(value)) };
        } else if let Some(int) = self.map_int() {
            // SAFETY: as in `map`.
            unsafe { int.write(value) };
        }
    }
}

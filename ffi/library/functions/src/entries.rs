// SPDX-License-Identifier: LGPL-2.0-or-later

//! The functions of a loaded checker, built in or from a plugin.

use crate::object::Object;
use crate::record::PathRecord;
use checkers_core::registry::{Module, Name};
use checkers_core::{Checker, MessageId, MessageTable, PathState, Verdict};
use checkers_ffi::ForkHandlers;
use checkers_ffi::calls;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::{NonNull, null_mut};

/// `int (struct checker *)`
pub(super) type Ask = unsafe extern "C" fn(*mut c_void) -> c_int;
/// `bool (struct checker *)`
pub(super) type Query = unsafe extern "C" fn(*mut c_void) -> bool;
/// `void (struct checker *)`
pub(super) type Tell = unsafe extern "C" fn(*mut c_void);
/// `void (void)`
pub(super) type Reset = unsafe extern "C" fn();
/// `void *(struct checker_context *)`; it may be cancelled, which unwinds it.
pub(super) type Thread = unsafe extern "C-unwind" fn(*mut c_void) -> *mut c_void;

/// A checker that needs no file.
#[derive(Clone, Copy)]
pub struct BuiltIn {
    pub(super) name: &'static str,
    pub(super) fork_handlers: ForkHandlers,
    pub(super) entries: Entries,
}

impl BuiltIn {
    /// The checker `T`, with its [`fork_handlers!`](checkers_ffi::fork_handlers).
    pub const fn new<T: Checker>(fork_handlers: ForkHandlers) -> BuiltIn {
        BuiltIn {
            name: T::NAME,
            fork_handlers,
            entries: Entries {
                check: check::<T>,
                init: init::<T>,
                free: free::<T>,
                mp_init: if T::USES_MAP {
                    Some(mp_init::<T>)
                } else {
                    None
                },
                reset: Some(reset::<T>),
                thread: None,
                pending: Some(pending::<T>),
                need_wait: Some(need_wait::<T>),
                texts: Texts::BuiltIn(T::MESSAGES),
                object: None,
            },
        }
    }
}

/// The functions of a checker, as a host finds them in a plugin.
#[derive(Clone, Copy)]
pub(super) struct Entries {
    pub(super) check: Ask,
    pub(super) init: Ask,
    pub(super) free: Tell,
    pub(super) mp_init: Option<Ask>,
    pub(super) reset: Option<Reset>,
    pub(super) thread: Option<Thread>,
    pub(super) pending: Option<Ask>,
    pub(super) need_wait: Option<Query>,
    pub(super) texts: Texts,
    /// The shared object of the functions.
    pub(super) object: Option<Object>,
}

// SAFETY: functions and object may be used by any thread, and the texts are constant until the shared
// object is unloaded, which the registry does last.
unsafe impl Send for Entries {}
// SAFETY: likewise.
unsafe impl Sync for Entries {}

/// A checker's own messages.
#[derive(Clone, Copy)]
pub(super) enum Texts {
    BuiltIn(MessageTable),
    /// The first of this many texts of a plugin.
    Plugin(NonNull<*const c_char>, usize),
    None,
}

impl Texts {
    /// The table that a plugin exports. It ends with NULL or after as many texts as a host reads.
    ///
    /// # Safety
    /// `first` must point to such a table.
    pub(super) unsafe fn of_plugin(first: NonNull<*const c_char>) -> Texts {
        let count = (0..MessageId::MAX_PLUGIN)
            // SAFETY: the caller guarantees the entries up to the first NULL, or up to the limit.
            .take_while(|index| !unsafe { first.add(*index).read() }.is_null())
            .count();
        Texts::Plugin(first, count)
    }

    pub(super) fn count(self) -> usize {
        match self {
            Texts::BuiltIn(table) => table.len(),
            Texts::Plugin(_, count) => count,
            Texts::None => 0,
        }
    }
}

impl Entries {
    /// The checker's own text at this index; `None` past the end of the table.
    pub(super) fn text(self, index: usize) -> Option<*const c_char> {
        match self.texts {
            Texts::BuiltIn(table) => table.get(index).map(|text| text.as_ptr()),
            Texts::Plugin(first, count) if index < count => {
                // SAFETY: the table has `count` entries, and the plugin is loaded.
                Some(unsafe { first.add(index).read() })
            }
            Texts::Plugin(..) | Texts::None => None,
        }
    }
}

/// The state that a checker has returned, as one that the rest of the host has: it uses the number as an
/// index.
fn adapted(raw: c_int, record: &PathRecord) -> PathState {
    let Some(state) = PathState::from_raw(raw) else {
        log::info!("invalid state index = {raw}");
        return PathState::Unchecked;
    };
    let verdict = record.abi().adapt(Verdict::silent(state));
    if let Some(message) = verdict.message {
        record.0.set_message(message);
    }
    verdict.state
}

impl Module for Entries {
    type Record = PathRecord;

    fn init(self, record: &mut PathRecord) -> bool {
        // SAFETY: the function takes the host's struct, and the record is a live one.
        unsafe { (self.init)(record.as_ptr()) == 0 }
    }

    fn mp_init(self, record: &mut PathRecord) -> bool {
        // SAFETY: likewise.
        self.mp_init
            .is_none_or(|mp_init| unsafe { mp_init(record.as_ptr()) == 0 })
    }

    fn check(self, record: &mut PathRecord) -> PathState {
        // SAFETY: likewise.
        adapted(unsafe { (self.check)(record.as_ptr()) }, record)
    }

    fn pending(self, record: &mut PathRecord) -> Option<PathState> {
        // SAFETY: likewise.
        self.pending
            .map(|pending| adapted(unsafe { pending(record.as_ptr()) }, record))
    }

    fn need_wait(self, record: &mut PathRecord) -> bool {
        // SAFETY: likewise.
        self.need_wait
            .is_some_and(|need_wait| unsafe { need_wait(record.as_ptr()) })
    }

    fn free(self, record: &mut PathRecord) {
        // SAFETY: likewise.
        unsafe { (self.free)(record.as_ptr()) }
    }

    fn reset(self) {
        if let Some(reset) = self.reset {
            // SAFETY: the function has no arguments, and its code is still loaded.
            unsafe { reset() }
        }
    }

    fn unload(self, name: &Name) {
        if let Some(object) = self.object {
            // SAFETY: the registry unloads a module after the last use of it.
            unsafe { object.close(name) };
        }
    }
}

// The functions that a plugin exports by name, with the same types, for the built-in checkers.

unsafe extern "C" fn init<T: Checker>(checker: *mut c_void) -> c_int {
    // SAFETY: the callers of an entry pass the host's struct.
    unsafe { calls::init::<T>(checker) }
}

unsafe extern "C" fn mp_init<T: Checker>(checker: *mut c_void) -> c_int {
    // SAFETY: likewise.
    unsafe { calls::mp_init::<T>(checker) }
}

unsafe extern "C" fn check<T: Checker>(checker: *mut c_void) -> c_int {
    // SAFETY: likewise; hosts before 0.15 have no second argument.
    unsafe { calls::check::<T>(checker, null_mut()) }
}

unsafe extern "C" fn pending<T: Checker>(checker: *mut c_void) -> c_int {
    // SAFETY: likewise.
    unsafe { calls::pending::<T>(checker, null_mut()) }
}

unsafe extern "C" fn need_wait<T: Checker>(checker: *mut c_void) -> bool {
    // SAFETY: likewise.
    unsafe { calls::need_wait::<T>(checker) }
}

unsafe extern "C" fn free<T: Checker>(checker: *mut c_void) {
    // SAFETY: likewise.
    unsafe { calls::free::<T>(checker) }
}

unsafe extern "C" fn reset<T: Checker>() {
    calls::reset::<T>();
}

#[cfg(test)]
mod tests {
    use super::*;
    use checkers_ffi::abi::{Abi, HostChecker};
    use std::ptr::null;

    /// A table at the end of accessible memory: reading past it ends the process.
    fn table_at_the_end_of_memory(texts: usize) -> NonNull<*const c_char> {
        let page = 4096;
        // SAFETY: the mapping is new; its second page is made inaccessible.
        let base = unsafe {
            let base = libc::mmap(
                null_mut(),
                2 * page,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(base, libc::MAP_FAILED);
            assert_eq!(
                libc::mprotect(base.byte_add(page), page, libc::PROT_NONE),
                0
            );
            base
        };
        let size = texts * size_of::<*const c_char>();
        // SAFETY: the table fits into the first page.
        let first = unsafe { base.byte_add(page - size) }.cast::<*const c_char>();
        for index in 0..texts {
            // SAFETY: likewise.
            unsafe { first.add(index).write(c" text".as_ptr()) };
        }
        NonNull::new(first).unwrap()
    }

    #[test]
    fn a_full_table_is_not_read_past_its_end() {
        // SAFETY: the table has the maximum length.
        let texts = unsafe { Texts::of_plugin(table_at_the_end_of_memory(MessageId::MAX_PLUGIN)) };
        assert_eq!(texts.count(), MessageId::MAX_PLUGIN);
    }

    #[test]
    fn a_table_ends_with_null() {
        let first = table_at_the_end_of_memory(3);
        // SAFETY: the third entry is part of the table, which has two entries afterwards.
        let texts = unsafe {
            first.add(2).write(null());
            Texts::of_plugin(first)
        };
        assert_eq!(texts.count(), 2);
    }

    fn checks(abi: Abi, raw: c_int) -> (PathState, MessageId) {
        let mut memory = [0_u64; 6];
        // SAFETY: the memory is as large as the largest layout, and zero is a value of every member.
        let record =
            unsafe { HostChecker::new(abi, memory.as_mut_ptr().cast(), null_mut()) }.unwrap();
        let record = PathRecord(record);
        let state = adapted(raw, &record);
        (state, record.message())
    }

    #[test]
    fn the_host_gets_only_states_that_it_has() {
        let nothing = MessageId::NONE;
        for abi in [Abi::V0_7_9, Abi::V0_11, Abi::V0_14] {
            assert_eq!(checks(abi, 3), (PathState::Up, nothing));
            for unknown in [-1, 11, c_int::MAX] {
                assert_eq!(checks(abi, unknown), (PathState::Unchecked, nothing));
            }
        }
        assert_eq!(checks(Abi::V0_7_9, 10), (PathState::Down, MessageId::DOWN));
        assert_eq!(checks(Abi::V0_11, 10), (PathState::Down, MessageId::DOWN));
        assert_eq!(checks(Abi::V0_14, 10), (PathState::Disconnected, nothing));
    }
}

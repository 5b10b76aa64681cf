//! The functions of a loaded checker, whoever wrote them.

use super::loader;
use crate::calls;
use crate::fork::ForkHandlers;
use crate::layout::RawChecker;
use checkers_core::registry::{Module, Name};
use checkers_core::{Checker, MessageId, MessageTable, PathState, Verdict};
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
    /// The checker `T`, with its [`fork_handlers!`](crate::fork_handlers).
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
                handle: None,
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
    /// The shared object that the functions are in.
    pub(super) handle: Option<NonNull<c_void>>,
}

// SAFETY: the functions and the handle belong to the process, and the texts are constant until the
// shared object is unloaded, which comes after everything else.
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
    /// The table that a plugin exports, which ends with NULL or after as many texts as a host reads.
    ///
    /// # Safety
    /// `first` must point to such a table.
    pub(super) unsafe fn of_plugin(first: NonNull<*const c_char>) -> Texts {
        let count = (0..MessageId::MAX_PLUGIN)
            // SAFETY: the entries up to the first NULL, and no more than the limit, are the caller's.
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
    /// The checker's own text at this place.
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

/// What a checker has returned, in terms that the rest of the host knows: it uses the number as an
/// index.
fn known(raw: c_int, record: &RawChecker) -> PathState {
    let Some(state) = PathState::from_raw(raw) else {
        log::info!("invalid state index = {raw}");
        return PathState::Unchecked;
    };
    let verdict = record.era().understood(Verdict::silent(state));
    if let Some(message) = verdict.message {
        record.say(message);
    }
    verdict.state
}

impl Module for Entries {
    type Record = RawChecker;

    fn init(self, record: &mut RawChecker) -> bool {
        // SAFETY: the function is one for the host's struct, and gets a live one.
        unsafe { (self.init)(record.as_ptr()) == 0 }
    }

    fn mp_init(self, record: &mut RawChecker) -> bool {
        // SAFETY: likewise.
        self.mp_init
            .is_none_or(|mp_init| unsafe { mp_init(record.as_ptr()) == 0 })
    }

    fn check(self, record: &mut RawChecker) -> PathState {
        // SAFETY: likewise.
        known(unsafe { (self.check)(record.as_ptr()) }, record)
    }

    fn pending(self, record: &mut RawChecker) -> Option<PathState> {
        // SAFETY: likewise.
        self.pending
            .map(|pending| known(unsafe { pending(record.as_ptr()) }, record))
    }

    fn need_wait(self, record: &mut RawChecker) -> bool {
        // SAFETY: likewise.
        self.need_wait
            .is_some_and(|need_wait| unsafe { need_wait(record.as_ptr()) })
    }

    fn free(self, record: &mut RawChecker) {
        // SAFETY: likewise.
        unsafe { (self.free)(record.as_ptr()) }
    }

    fn reset(self) {
        if let Some(reset) = self.reset {
            // SAFETY: the function takes nothing, and its code is still loaded.
            unsafe { reset() }
        }
    }

    fn unload(self, name: &Name) {
        if let Some(handle) = self.handle {
            loader::close(handle, name);
        }
    }
}

// What a plugin exports by name, as functions of the same shape for the checkers that are built in.

unsafe extern "C" fn init<T: Checker>(checker: *mut c_void) -> c_int {
    // SAFETY: whoever calls an entry passes the host's struct.
    unsafe { calls::init::<T>(checker) }
}

unsafe extern "C" fn mp_init<T: Checker>(checker: *mut c_void) -> c_int {
    // SAFETY: likewise.
    unsafe { calls::mp_init::<T>(checker) }
}

unsafe extern "C" fn check<T: Checker>(checker: *mut c_void) -> c_int {
    // SAFETY: likewise; the eras of this form have no second argument.
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
    use crate::era::Era;
    use std::ptr::null;

    /// Memory that ends where reading ends the process.
    fn cliff(texts: usize) -> NonNull<*const c_char> {
        let page = 4096;
        // SAFETY: a new mapping harms nobody; its second page is taken away again.
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
        // SAFETY: the table is as long as one may be.
        let texts = unsafe { Texts::of_plugin(cliff(MessageId::MAX_PLUGIN)) };
        assert_eq!(texts.count(), MessageId::MAX_PLUGIN);
    }

    #[test]
    fn a_table_ends_with_null() {
        let first = cliff(3);
        // SAFETY: the third entry is ours to write, and a table of two is left.
        let texts = unsafe {
            first.add(2).write(null());
            Texts::of_plugin(first)
        };
        assert_eq!(texts.count(), 2);
    }

    fn checks(era: Era, raw: c_int) -> (PathState, MessageId) {
        let mut memory = [0_u64; 6];
        // SAFETY: the memory is as large as the largest layout, and zero is a value of every member.
        let record =
            unsafe { RawChecker::new(era, memory.as_mut_ptr().cast(), null_mut()) }.unwrap();
        let state = known(raw, &record);
        (state, record.message())
    }

    #[test]
    fn the_host_gets_only_states_that_it_knows() {
        let nothing = MessageId::NONE;
        for era in [Era::B, Era::C, Era::CPrime] {
            assert_eq!(checks(era, 3), (PathState::Up, nothing));
            for stranger in [-1, 11, c_int::MAX] {
                assert_eq!(checks(era, stranger), (PathState::Unchecked, nothing));
            }
        }
        assert_eq!(checks(Era::B, 10), (PathState::Down, MessageId::DOWN));
        assert_eq!(checks(Era::C, 10), (PathState::Down, MessageId::DOWN));
        assert_eq!(checks(Era::CPrime, 10), (PathState::Disconnected, nothing));
    }
}

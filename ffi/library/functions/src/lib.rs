// SPDX-License-Identifier: LGPL-2.0-or-later

//! What libmultipath's `checkers.c` does, for a libmultipath that is linked with the checkers.
//!
//! [`Library`] has the functions of `checkers.h`. Which of them exist under which name, and in which
//! release's form, is decided by the crate `checkers-library`, which exports them.
//!
//! | module | subject |
//! |---|---|
//! | `class` | the class of a path, from the host's struct |
//! | `entries` | the functions of a loaded checker, built in or from a plugin |
//! | `loader` | built-in checkers, and plugins from files |
//! | `object` | shared objects, by the dynamic linker |
//! | `record` | the host's struct as the registry sees it |
//! | `thread` | threads of plugins written for multipath-tools 0.8.6 to 0.14.x |

mod class;
mod entries;
mod loader;
mod object;
mod record;
mod thread;

pub use entries::BuiltIn;
pub use thread::CheckerContext;

use checkers_core::registry::{self, Registry};
use checkers_core::{MessageId, PathState, Text, locate};
use checkers_ffi::abi::{Abi, HostChecker};
use checkers_ffi::entry::enter;
use checkers_ffi::host::{become_host, fork};
use class::{class, is_sync};
use entries::Entries;
use loader::Plugins;
use record::PathRecord;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{NonNull, null, null_mut};

/// The name in log lines about functions that concern no particular checker.
const NAME: &str = "path";

/// The checker that a host loads when it starts.
const DEFAULT_CHECKER: &CStr = c"tur";

/// libmultipath's checkers, in the form of one release.
pub struct Library {
    abi: Abi,
    built_in: &'static [BuiltIn],
    registry: Registry<Entries>,
}

impl Library {
    /// A library without loaded classes. `abi` must be that of the header with which the rest of
    /// libmultipath is compiled; `built_in` are the checkers that need no file.
    ///
    /// # Panics
    /// At compile time for 0.15 and later, where other parts of libmultipath read the classes.
    pub const fn new(abi: Abi, built_in: &'static [BuiltIn]) -> Library {
        assert!(!matches!(abi, Abi::V0_15));
        Library {
            abi,
            built_in,
            registry: Registry::new(),
        }
    }

    /// `init_checkers`: returns 0, or 1 when the default checker cannot be loaded.
    ///
    /// # Safety
    /// `directory` must be NULL or a C string: where plugins are.
    pub unsafe fn start(&'static self, directory: *const c_char) -> c_int {
        enter(NAME, 1, || {
            become_host(self.abi, is_sync);
            for checker in self.built_in {
                fork::register(checker.fork_handlers);
            }
            // SAFETY: as this function's Safety section requires.
            let plugins = unsafe { self.plugins(directory) };
            c_int::from(!self.registry.add(&plugins, DEFAULT_CHECKER))
        })
    }

    /// `cleanup_checkers`: unloads the classes that no path uses, and each of the others with its last path.
    pub fn cleanup(&self) {
        enter(NAME, (), || self.registry.cleanup());
    }

    /// `reset_checker_classes`.
    pub fn reset(&self) {
        enter(NAME, (), || self.registry.reset());
    }

    /// `checker_get`: selects a class for a path; the path has none if it cannot be loaded.
    ///
    /// # Safety
    /// `checker` must be NULL or a `struct checker` of the library's ABI, `directory` and `name` NULL or C
    /// strings.
    pub unsafe fn get(
        &'static self,
        directory: *const c_char,
        checker: *mut c_void,
        name: *const c_char,
    ) {
        enter(NAME, (), || {
            become_host(self.abi, is_sync);
            // SAFETY: as this function's Safety section requires.
            let Some(path) = (unsafe { self.path(checker) }) else {
                return;
            };
            // SAFETY: likewise.
            let (plugins, name) = unsafe { (self.plugins(directory), string(name)) };
            let class = self.registry.get(&plugins, name);
            path.set_class(class.map_or(null_mut(), |class| {
                std::ptr::from_ref(class).cast_mut().cast()
            }));
        });
    }

    /// `checker_put`: ends the instance of a path, which has no class afterwards.
    ///
    /// # Safety
    /// `checker` must be NULL or a `struct checker` of the library's ABI, its class from [`Library::get`].
    pub unsafe fn put(&self, checker: *mut c_void) {
        enter(NAME, (), || {
            // SAFETY: as this function's Safety section requires.
            if let Some(mut path) = unsafe { self.path(checker) } {
                // SAFETY: likewise.
                let class = unsafe { class(path) };
                registry::put(class, &mut path, |path| path.clear());
            }
        });
    }

    /// `checker_init`: returns 0, or 1 when the checker declines the path, which has no class then.
    /// (Upstream keeps the class, which the callers do not release, so that it is never unloaded.)
    ///
    /// # Safety
    /// As [`Library::put`]; `place` must be NULL or point to the map's pointer variable.
    pub unsafe fn init(&self, checker: *mut c_void, place: *mut *mut c_void) -> c_int {
        enter(NAME, 1, || {
            // SAFETY: as this function's Safety section requires.
            let Some(mut path) = (unsafe { self.path(checker) }) else {
                return 1;
            };
            // SAFETY: likewise.
            let Some(class) = (unsafe { class(path) }) else {
                return 1;
            };
            let made = registry::init(class, &mut path, NonNull::new(place));
            if made.is_err() {
                path.set_class(null_mut());
                class.release();
            }
            c_int::from(made.is_err())
        })
    }

    /// `checker_mp_init`: returns 0, or 1 when there was no memory for the map's value.
    ///
    /// # Safety
    /// As [`Library::init`].
    pub unsafe fn mp_init(&self, checker: *mut c_void, place: *mut *mut c_void) -> c_int {
        enter(NAME, 1, || {
            // SAFETY: as this function's Safety section requires.
            let Some(mut path) = (unsafe { self.path(checker) }) else {
                return 1;
            };
            // SAFETY: likewise.
            let Some(class) = (unsafe { class(path) }) else {
                return 1;
            };
            c_int::from(registry::mp_init(class, &mut path, NonNull::new(place)).is_err())
        })
    }

    /// `checker_check`: returns the state, WILD for a NULL pointer. Hosts from 0.11.0 on ignore it and
    /// read the struct.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn check(&self, checker: *mut c_void, known: c_int) -> c_int {
        let state = enter(NAME, PathState::Unchecked, || {
            // SAFETY: as this function's Safety section requires.
            let Some(mut path) = (unsafe { self.path(checker) }) else {
                return PathState::Wild;
            };
            let known = PathState::from_raw(known).unwrap_or(PathState::Unchecked);
            // SAFETY: likewise.
            registry::check(unsafe { class(path) }, &mut path, known)
        });
        state.as_raw()
    }

    /// `checker_get_state`: returns the state, UNCHECKED for a NULL pointer.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn state(&self, checker: *mut c_void) -> c_int {
        let state = enter(NAME, PathState::Unchecked, || {
            // SAFETY: as this function's Safety section requires.
            let Some(mut path) = (unsafe { self.path(checker) }) else {
                return PathState::Unchecked;
            };
            // SAFETY: likewise.
            registry::state(unsafe { class(path) }, &mut path)
        });
        state.as_raw()
    }

    /// `checker_need_wait`: returns whether to wait a moment before `checker_get_state`.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn need_wait(&self, checker: *mut c_void) -> bool {
        enter(NAME, false, || {
            // SAFETY: as this function's Safety section requires.
            let Some(mut path) = (unsafe { self.path(checker) }) else {
                return false;
            };
            // SAFETY: likewise.
            registry::need_wait(unsafe { class(path) }, &mut path)
        })
    }

    /// `checker_clear`: makes the struct one without a class, whatever the memory held before.
    ///
    /// # Safety
    /// `checker` must be NULL or point to memory for a `struct checker` of the library's ABI.
    pub unsafe fn clear(&self, checker: *mut c_void) {
        // SAFETY: as this function's Safety section requires.
        if let Some(path) = unsafe { self.path(checker) } {
            path.clear();
        }
    }

    /// `checker_set_fd`.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn set_fd(&self, checker: *mut c_void, fd: c_int) {
        // SAFETY: as this function's Safety section requires.
        if let Some(path) = unsafe { self.path(checker) } {
            path.set_fd(fd);
        }
    }

    /// `checker_set_sync` and `checker_set_async`, for all paths of the class.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn set_sync(&self, checker: *mut c_void, sync: bool) {
        // SAFETY: as this function's Safety section requires.
        if let Some(class) = unsafe { self.path(checker).and_then(|path| class(path)) } {
            class.set_sync(sync);
        }
    }

    /// `checker_is_sync`: returns 1 if the checks of the path's class may wait, else 0.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn is_sync(&self, checker: *const c_void) -> c_int {
        // SAFETY: as this function's Safety section requires.
        unsafe { is_sync(checker) }
    }

    /// `checker_enable`.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn enable(&self, checker: *mut c_void) {
        // SAFETY: as this function's Safety section requires.
        if let Some(mut path) = unsafe { self.path(checker) } {
            registry::enable(&mut path);
        }
    }

    /// `checker_disable`.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn disable(&self, checker: *mut c_void) {
        // SAFETY: as this function's Safety section requires.
        if let Some(mut path) = unsafe { self.path(checker) } {
            registry::disable(&mut path);
        }
    }

    /// `checker_name`: returns the class's name, NULL for a path without a class.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn name(&self, checker: *const c_void) -> *const c_char {
        // SAFETY: as this function's Safety section requires.
        let class = unsafe { self.path(checker.cast_mut()).and_then(|path| class(path)) };
        class.map_or(null(), |class| class.name().short().as_ptr())
    }

    /// `checker_message`: returns the text of the path's message, an empty one if it has none.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn message(&self, checker: *const c_void) -> *const c_char {
        let nothing = c"".as_ptr();
        // SAFETY: as this function's Safety section requires.
        let Some(path) = (unsafe { self.path(checker.cast_mut()) }) else {
            return nothing;
        };
        // SAFETY: likewise.
        let Some(class) = (unsafe { class(path) }) else {
            return nothing;
        };
        match locate(path.message(), self.abi.generic_messages()) {
            Text::Generic(text) => text.as_ptr(),
            Text::Own(index) => class
                .module()
                .and_then(|entries| entries.text(index))
                .unwrap_or(nothing),
            Text::Nowhere => nothing,
        }
    }

    /// `checker_clear_message`.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn clear_message(&self, checker: *mut c_void) {
        // SAFETY: as this function's Safety section requires.
        if let Some(path) = unsafe { self.path(checker) } {
            path.set_message(MessageId::NONE);
        }
    }

    /// `checker_state_name`: returns the state's name. For a state that the release does not have it
    /// returns `invalid`, which is logged.
    pub fn state_name(&'static self, state: c_int) -> *const c_char {
        enter(NAME, c"invalid", || {
            become_host(self.abi, is_sync);
            match PathState::from_raw(state).filter(|state| self.abi.has_state(*state)) {
                Some(state) => state.c_name(),
                None => {
                    log::info!("invalid state index = {state}");
                    c"invalid"
                }
            }
        })
        .as_ptr()
    }

    /// `start_checker_thread`: returns 0 or an error number.
    ///
    /// # Safety
    /// As [`thread::start`].
    pub unsafe fn start_thread(
        &self,
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        context: *mut CheckerContext,
    ) -> c_int {
        enter(NAME, libc::EAGAIN, || {
            // SAFETY: as this function's Safety section requires.
            unsafe { thread::start(thread, attributes, context) }
        })
    }

    /// # Safety
    /// As [`HostChecker::new`], for the library's ABI.
    unsafe fn path(&self, checker: *mut c_void) -> Option<PathRecord> {
        // SAFETY: as this function's Safety section requires.
        unsafe { HostChecker::new(self.abi, checker, null_mut()) }.map(PathRecord)
    }

    /// # Safety
    /// `directory` must be NULL or a C string that outlives `'a`.
    unsafe fn plugins<'a>(&self, directory: *const c_char) -> Plugins<'a> {
        Plugins {
            built_in: self.built_in,
            // SAFETY: as this function's Safety section requires.
            directory: unsafe { string(directory) },
        }
    }
}

/// The string, or an empty one for NULL.
///
/// # Safety
/// `string` must be NULL or a C string that outlives `'a`.
unsafe fn string<'a>(string: *const c_char) -> &'a CStr {
    if string.is_null() {
        return c"";
    }
    // SAFETY: as this function's Safety section requires.
    unsafe { CStr::from_ptr(string) }
}

//! libmultipath's own side of the checkers: what its `checkers.c` does, for a libmultipath that is
//! linked with us instead.
//!
//! [`Library`] has the functions of `checkers.h`. Which of them exist under which name, and in which
//! release's form, is decided by the crate that exports them.
//!
//! | module | subject |
//! |---|---|
//! | `entries` | the functions of a loaded checker, C's or ours |
//! | `loader` | built-in checkers, and plugins from files |
//! | `record` | the host's struct as the registry sees it |
//! | `thread` | threads of other people's plugins |

mod entries;
mod loader;
mod record;
mod thread;

pub use entries::BuiltIn;
pub use thread::CheckerContext;

use crate::border::enter;
use crate::era::Era;
use crate::layout::RawChecker;
use crate::{fork, host};
use checkers_core::registry::{self, Class, Registry};
use checkers_core::{MessageId, PathState, Text, locate};
use entries::Entries;
use loader::Plugins;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{NonNull, null, null_mut};

/// What the log calls a function that is no checker's.
const WHO: &str = "path";

/// The checker that a host wants to have before anything else.
const DEFAULT_CHECKER: &CStr = c"tur";

/// libmultipath's checkers, in the form of one release.
pub struct Library {
    era: Era,
    built_in: &'static [BuiltIn],
    registry: Registry<Entries>,
}

impl Library {
    /// A library without loaded classes. `era` must be that of the header with which the rest of
    /// libmultipath is compiled; `built_in` are the checkers that need no file.
    ///
    /// # Panics
    /// At compile time for era D, whose libmultipath has its own code look into the classes.
    pub const fn new(era: Era, built_in: &'static [BuiltIn]) -> Library {
        assert!(!matches!(era, Era::D));
        Library {
            era,
            built_in,
            registry: Registry::new(),
        }
    }

    /// `init_checkers`: 0, or 1 when the default checker cannot be had.
    ///
    /// # Safety
    /// `directory` must be NULL or a C string: where plugins are.
    pub unsafe fn start(&'static self, directory: *const c_char) -> c_int {
        enter(WHO, 1, || {
            host::be(self.era, is_sync);
            for checker in self.built_in {
                fork::register(checker.fork_handlers);
            }
            // SAFETY: the caller's promise is the one needed here.
            let plugins = unsafe { self.plugins(directory) };
            c_int::from(!self.registry.add(&plugins, DEFAULT_CHECKER))
        })
    }

    /// `cleanup_checkers`: unloads what no path uses, and the rest when its last path goes.
    pub fn cleanup(&self) {
        enter(WHO, (), || self.registry.cleanup());
    }

    /// `reset_checker_classes`.
    pub fn reset(&self) {
        enter(WHO, (), || self.registry.reset());
    }

    /// `checker_get`: selects a class for a path, or none.
    ///
    /// # Safety
    /// `checker` must be NULL or a `struct checker` of the era, `directory` and `name` NULL or C
    /// strings.
    pub unsafe fn get(
        &'static self,
        directory: *const c_char,
        checker: *mut c_void,
        name: *const c_char,
    ) {
        enter(WHO, (), || {
            host::be(self.era, is_sync);
            // SAFETY: the caller's promise is the one needed here.
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
    /// `checker` must be NULL or a `struct checker` of the era, its class from [`Library::get`].
    pub unsafe fn put(&self, checker: *mut c_void) {
        enter(WHO, (), || {
            // SAFETY: the caller's promise is the one needed here.
            if let Some(mut path) = unsafe { self.path(checker) } {
                // SAFETY: likewise.
                let class = unsafe { class(path) };
                registry::put(class, &mut path, |path| path.clear());
            }
        });
    }

    /// `checker_init`: 0, or 1 when the checker declines the path. The path has no class then. (C
    /// leaves it one that the callers forget, so that the class is never unloaded.)
    ///
    /// # Safety
    /// As [`Library::put`]; `place` must be NULL or point to the map's pointer variable.
    pub unsafe fn init(&self, checker: *mut c_void, place: *mut *mut c_void) -> c_int {
        enter(WHO, 1, || {
            // SAFETY: the caller's promise is the one needed here.
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

    /// `checker_mp_init`: 0, or 1 when the map's place could not be filled.
    ///
    /// # Safety
    /// As [`Library::init`].
    pub unsafe fn mp_init(&self, checker: *mut c_void, place: *mut *mut c_void) -> c_int {
        enter(WHO, 1, || {
            // SAFETY: the caller's promise is the one needed here.
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

    /// `checker_check`: the state. Hosts of era C ignore it and read the struct.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn check(&self, checker: *mut c_void, known: c_int) -> c_int {
        let state = enter(WHO, PathState::Unchecked, || {
            // SAFETY: the caller's promise is the one needed here.
            let Some(mut path) = (unsafe { self.path(checker) }) else {
                return PathState::Wild;
            };
            let known = PathState::from_raw(known).unwrap_or(PathState::Unchecked);
            // SAFETY: likewise.
            registry::check(unsafe { class(path) }, &mut path, known)
        });
        state.as_raw()
    }

    /// `checker_get_state`.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn state(&self, checker: *mut c_void) -> c_int {
        let state = enter(WHO, PathState::Unchecked, || {
            // SAFETY: the caller's promise is the one needed here.
            let Some(mut path) = (unsafe { self.path(checker) }) else {
                return PathState::Unchecked;
            };
            // SAFETY: likewise.
            registry::state(unsafe { class(path) }, &mut path)
        });
        state.as_raw()
    }

    /// `checker_need_wait`.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn need_wait(&self, checker: *mut c_void) -> bool {
        enter(WHO, false, || {
            // SAFETY: the caller's promise is the one needed here.
            let Some(mut path) = (unsafe { self.path(checker) }) else {
                return false;
            };
            // SAFETY: likewise.
            registry::need_wait(unsafe { class(path) }, &mut path)
        })
    }

    /// `checker_clear`: makes the struct one without a class, whatever was in it.
    ///
    /// # Safety
    /// `checker` must be NULL or point to memory for a `struct checker` of the era.
    pub unsafe fn clear(&self, checker: *mut c_void) {
        // SAFETY: the caller's promise is the one needed here.
        if let Some(path) = unsafe { self.path(checker) } {
            path.clear();
        }
    }

    /// `checker_set_fd`.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn set_fd(&self, checker: *mut c_void, fd: c_int) {
        // SAFETY: the caller's promise is the one needed here.
        if let Some(path) = unsafe { self.path(checker) } {
            path.set_descriptor(fd);
        }
    }

    /// `checker_set_sync` and `checker_set_async`, for all paths of the class.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn set_sync(&self, checker: *mut c_void, sync: bool) {
        // SAFETY: the caller's promise is the one needed here.
        if let Some(class) = unsafe { self.path(checker).and_then(|path| class(path)) } {
            class.set_sync(sync);
        }
    }

    /// `checker_is_sync`.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn is_sync(&self, checker: *const c_void) -> c_int {
        // SAFETY: the caller's promise is the one needed here.
        unsafe { is_sync(checker) }
    }

    /// `checker_enable`.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn enable(&self, checker: *mut c_void) {
        // SAFETY: the caller's promise is the one needed here.
        if let Some(mut path) = unsafe { self.path(checker) } {
            registry::enable(&mut path);
        }
    }

    /// `checker_disable`.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn disable(&self, checker: *mut c_void) {
        // SAFETY: the caller's promise is the one needed here.
        if let Some(mut path) = unsafe { self.path(checker) } {
            registry::disable(&mut path);
        }
    }

    /// `checker_name`: NULL for a path without a class.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn name(&self, checker: *const c_void) -> *const c_char {
        // SAFETY: the caller's promise is the one needed here.
        let class = unsafe { self.path(checker.cast_mut()).and_then(|path| class(path)) };
        class.map_or(null(), |class| class.name().short().as_ptr())
    }

    /// `checker_message`: the text of the path's message, or an empty one.
    ///
    /// # Safety
    /// As [`Library::put`].
    pub unsafe fn message(&self, checker: *const c_void) -> *const c_char {
        let nothing = c"".as_ptr();
        // SAFETY: the caller's promise is the one needed here.
        let Some(path) = (unsafe { self.path(checker.cast_mut()) }) else {
            return nothing;
        };
        // SAFETY: likewise.
        let Some(class) = (unsafe { class(path) }) else {
            return nothing;
        };
        match locate(path.message(), self.era.generic_messages()) {
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
        // SAFETY: the caller's promise is the one needed here.
        if let Some(path) = unsafe { self.path(checker) } {
            path.say(MessageId::NONE);
        }
    }

    /// `checker_state_name`: `invalid` for what the release does not know, which is logged.
    pub fn state_name(&'static self, state: c_int) -> *const c_char {
        enter(WHO, c"invalid", || {
            host::be(self.era, is_sync);
            match PathState::from_raw(state).filter(|state| self.era.knows(*state)) {
                Some(state) => state.c_name(),
                None => {
                    log::info!("invalid state index = {state}");
                    c"invalid"
                }
            }
        })
        .as_ptr()
    }

    /// `start_checker_thread`: 0 or an error number.
    ///
    /// # Safety
    /// As [`thread::start`].
    pub unsafe fn start_thread(
        &self,
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        context: *mut CheckerContext,
    ) -> c_int {
        enter(WHO, libc::EAGAIN, || {
            // SAFETY: the caller's promise is the one needed here.
            unsafe { thread::start(thread, attributes, context) }
        })
    }

    /// # Safety
    /// As [`RawChecker::new`], for the era of the library.
    unsafe fn path(&self, checker: *mut c_void) -> Option<RawChecker> {
        // SAFETY: the caller's promise is the one needed here.
        unsafe { RawChecker::new(self.era, checker, null_mut()) }
    }

    /// # Safety
    /// `directory` must be NULL or a C string that outlives `'a`.
    unsafe fn plugins<'a>(&self, directory: *const c_char) -> Plugins<'a> {
        Plugins {
            built_in: self.built_in,
            // SAFETY: the caller's promise is the one needed here.
            directory: unsafe { string(directory) },
        }
    }
}

/// The class of a path.
///
/// # Safety
/// The struct's `cls` must be NULL or what [`Library::get`] has put there.
unsafe fn class(path: RawChecker) -> Option<&'static Class<Entries>> {
    // SAFETY: `Library::get` writes only addresses of classes, which are never freed.
    unsafe { path.class().cast::<Class<Entries>>().as_ref() }
}

/// Whether the checks of this path's class may wait; what a checker asks its host.
///
/// # Safety
/// `checker` must be NULL or a host's struct, its class from [`Library::get`].
unsafe extern "C" fn is_sync(checker: *const c_void) -> c_int {
    let Some(first) = NonNull::new(checker.cast_mut().cast::<*const Class<Entries>>()) else {
        return 0;
    };
    // SAFETY: the class is the struct's first member in every layout, and is NULL or was put there by
    // `Library::get`; classes are never freed.
    unsafe { first.read().as_ref() }.map_or(0, |class| c_int::from(class.is_sync()))
}

/// The string, or an empty one for NULL.
///
/// # Safety
/// `string` must be NULL or a C string that outlives `'a`.
unsafe fn string<'a>(string: *const c_char) -> &'a CStr {
    if string.is_null() {
        return c"";
    }
    // SAFETY: the caller's promise is the one needed here.
    unsafe { CStr::from_ptr(string) }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! `libcheckers.a`: the functions of multipath-tools' `checkers.h`, over built-in checkers.
//!
//! Only names and signatures are here, in the form of the release that the features choose; what the
//! functions do is in [`checkers_library_functions`].

#[cfg(not(any(feature = "layout-b", feature = "layout-c")))]
compile_error!(
    "no layout of struct checker is chosen: use --features layout-b for multipath-tools 0.8.6 to \
     0.10.x, or --features layout-c for 0.11.0 to 0.14.x. In 0.15.0 and later, headers do not allow a \
     library: struct checker_class is public there and read by the rest of libmultipath, and two \
     functions take struct path. Use the plugins with those releases"
);
#[cfg(all(feature = "layout-b", feature = "layout-c"))]
compile_error!(
    "two layouts of struct checker are chosen: layout-b is for multipath-tools 0.8.6 to 0.10.x, \
     layout-c, which is a default feature, for 0.11.0 to 0.14.x. A library has one: use \
     --no-default-features"
);
#[cfg(all(feature = "directory-argument", not(feature = "layout-b")))]
compile_error!("directory-argument is a form of layout-b (multipath-tools 0.8.6 to 0.8.9)");
#[cfg(all(feature = "disconnected", not(feature = "layout-c")))]
compile_error!("disconnected is a form of layout-c (multipath-tools 0.14.0 and later)");

use checkers_ffi::Abi;
use checkers_library_functions::{BuiltIn, CheckerContext, Library};
use std::ffi::{c_char, c_int, c_void};

const ABI: Abi = if cfg!(feature = "layout-b") {
    Abi::V0_7_9
} else if cfg!(feature = "disconnected") {
    Abi::V0_14
} else {
    Abi::V0_11
};

macro_rules! built_in {
    ($({ $name:ident $crate_name:ident $checker:ty $(, probe $probe:ty)? $(, scsi $scsi:ty)? })*) => {
        &[$(BuiltIn::new::<$checker>(checkers_ffi::fork_handlers!($checker))),*]
    };
}

static LIBRARY: Library = Library::new(ABI, checkers::for_each_checker!(built_in));

/// Exports functions for C. What C guarantees of the arguments is stated once, here.
macro_rules! export {
    ($($(#[$attribute:meta])* fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block)*) => {
        $(
            $(#[$attribute])*
            ///
            /// # Safety
            /// As multipath-tools' `checkers.h` has it: a `struct checker` is NULL or a live one of the
            /// layout chosen, not in use by another thread, in which only these functions set the
            /// class; strings are NULL or NUL-terminated; `mpcontext` is NULL or points to the map's
            /// pointer.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? {
                // SAFETY: the caller gives the guarantees that the library's function needs.
                #[allow(unused_unsafe, reason = "some functions are safe")]
                unsafe { $body }
            }
        )*
    };
}

#[cfg(feature = "directory-argument")]
export! {
    /// Loads the default checker. Returns 0, or 1 without it.
    fn init_checkers(directory: *const c_char) -> c_int { LIBRARY.start(directory) }

    /// Selects a checker by name.
    fn checker_get(directory: *const c_char, checker: *mut c_void, name: *const c_char) {
        LIBRARY.get(directory, checker, name)
    }
}

#[cfg(not(feature = "directory-argument"))]
unsafe extern "C" {
    /// `const char checkers_plugin_directory[]`: the directory with plugins. The program that links the
    /// library defines it.
    static checkers_plugin_directory: c_char;
}

#[cfg(not(feature = "directory-argument"))]
export! {
    /// Loads the default checker. Returns 0, or 1 without it.
    fn init_checkers() -> c_int { LIBRARY.start(&raw const checkers_plugin_directory) }

    /// Selects a checker by name.
    fn checker_get(checker: *mut c_void, name: *const c_char) {
        LIBRARY.get(&raw const checkers_plugin_directory, checker, name)
    }
}

#[cfg(feature = "layout-b")]
export! {
    /// Checks a path and returns its state; `state` is the one that the host has stored.
    fn checker_check(checker: *mut c_void, state: c_int) -> c_int { LIBRARY.check(checker, state) }
}

#[cfg(not(feature = "layout-b"))]
export! {
    /// Starts the check of a path; `state` is the one that the host has stored.
    fn checker_check(checker: *mut c_void, state: c_int) {
        LIBRARY.check(checker, state);
    }

    /// Returns the state of a path.
    fn checker_get_state(checker: *mut c_void) -> c_int { LIBRARY.state(checker) }

    /// Returns whether to wait a moment before `checker_get_state`.
    fn checker_need_wait(checker: *mut c_void) -> bool { LIBRARY.need_wait(checker) }
}

export! {
    /// Unloads all classes that no path uses.
    fn cleanup_checkers() { LIBRARY.cleanup() }

    /// Releases what the instances of each class shared and none uses any more.
    fn reset_checker_classes() { LIBRARY.reset() }

    /// Ends the instance of a path.
    fn checker_put(checker: *mut c_void) { LIBRARY.put(checker) }

    /// Makes the instance of a path. Returns 0, or 1 when the checker declines it.
    fn checker_init(checker: *mut c_void, mpcontext: *mut *mut c_void) -> c_int {
        LIBRARY.init(checker, mpcontext)
    }

    /// Gives a path its map's memory later. Returns 0, or 1 when there is none.
    fn checker_mp_init(checker: *mut c_void, mpcontext: *mut *mut c_void) -> c_int {
        LIBRARY.mp_init(checker, mpcontext)
    }

    /// Empties the struct.
    fn checker_clear(checker: *mut c_void) { LIBRARY.clear(checker) }

    /// Sets the descriptor of a path.
    fn checker_set_fd(checker: *mut c_void, fd: c_int) { LIBRARY.set_fd(checker, fd) }

    /// Lets the checks of the path's class wait.
    fn checker_set_sync(checker: *mut c_void) { LIBRARY.set_sync(checker, true) }

    /// Lets no check of the path's class wait.
    fn checker_set_async(checker: *mut c_void) { LIBRARY.set_sync(checker, false) }

    /// Returns 1 if the checks of the path's class may wait, else 0.
    fn checker_is_sync(checker: *const c_void) -> c_int { LIBRARY.is_sync(checker) }

    /// Enables the checker of a path.
    fn checker_enable(checker: *mut c_void) { LIBRARY.enable(checker) }

    /// Disables the checker of a path.
    fn checker_disable(checker: *mut c_void) { LIBRARY.disable(checker) }

    /// Returns the name of the path's class, or NULL.
    fn checker_name(checker: *const c_void) -> *const c_char { LIBRARY.name(checker) }

    /// Returns the message of the last check, never NULL.
    fn checker_message(checker: *const c_void) -> *const c_char { LIBRARY.message(checker) }

    /// Clears the message of the last check.
    fn checker_clear_message(checker: *mut c_void) { LIBRARY.clear_message(checker) }

    /// Returns the name of a state, `invalid` for an unknown one.
    fn checker_state_name(state: c_int) -> *const c_char { LIBRARY.state_name(state) }

    /// Starts a plugin's `libcheck_thread`. Returns 0 or an error number. The context is NULL or begins with
    /// the class of a path that holds it, and is valid until the thread's function has begun.
    fn start_checker_thread(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        context: *mut CheckerContext
    ) -> c_int {
        LIBRARY.start_thread(thread, attributes, context)
    }
}

/// Hosts with layout B refer to this symbol, so that they do not link with another library.
#[cfg(feature = "layout-b")]
#[unsafe(no_mangle)]
pub static checkers_layout_b: c_char = 0;

/// Hosts with layout C refer to this symbol, so that they do not link with another library.
#[cfg(feature = "layout-c")]
#[unsafe(no_mangle)]
pub static checkers_layout_c: c_char = 0;

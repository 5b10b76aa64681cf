// SPDX-License-Identifier: LGPL-2.0-or-later

//! The exported names. One macro makes them, so that none can be written without the border.

use std::ffi::{CStr, c_char};

/// An entry of `libcheck_msgtable`: a NUL-terminated text, or NULL at the end.
#[repr(transparent)]
pub struct MessagePointer(*const c_char);

// SAFETY: the pointer is to a constant text or NULL, and is never written through.
unsafe impl Sync for MessagePointer {}

/// The table that C reads. `N` is one more than the number of texts, for the NULL at the end.
#[doc(hidden)]
pub const fn message_table<const N: usize>(texts: &'static [&'static CStr]) -> [MessagePointer; N] {
    assert!(N == texts.len() + 1);
    let mut table = [const { MessagePointer(std::ptr::null()) }; N];
    let mut index = 0;
    while index < texts.len() {
        // Evaluated by the compiler, which checks the bounds.
        #[expect(
            clippy::indexing_slicing,
            reason = "only ever evaluated at compile time"
        )]
        {
            table[index] = MessagePointer(texts[index].as_ptr());
        }
        index += 1;
    }
    table
}

/// Exports a checker under the names that libmultipath looks up. With `map_memory` the plugin also
/// exports `libcheck_mp_init`, which a checker needs that keeps a value per map.
#[macro_export]
macro_rules! export_checker {
    ($checker:ty) => {
        const _: () = assert!(
            !<$checker as ::checkers_core::Checker>::USES_MAP,
            "a checker with a value per map is exported with map_memory"
        );
        $crate::export_checker!($checker, common);
    };
    ($checker:ty, map_memory) => {
        $crate::export_checker!($checker, common);

        /// See [`checkers_ffi::calls::mp_init`].
        ///
        /// # Safety
        /// As stated there.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn libcheck_mp_init(
            checker: *mut ::std::ffi::c_void,
        ) -> ::std::ffi::c_int {
            // SAFETY: the caller gives the guarantees that the function needs.
            unsafe { $crate::calls::mp_init::<$checker>(checker) }
        }
    };
    ($checker:ty, common) => {
        /// See [`checkers_ffi::calls::init`].
        ///
        /// # Safety
        /// As stated there.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn libcheck_init(
            checker: *mut ::std::ffi::c_void,
        ) -> ::std::ffi::c_int {
            $crate::register_fork_handlers($crate::fork_handlers!($checker));
            // SAFETY: the caller gives the guarantees that the function needs.
            unsafe { $crate::calls::init::<$checker>(checker) }
        }

        /// See [`checkers_ffi::calls::check`].
        ///
        /// # Safety
        /// As stated there.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn libcheck_check(
            checker: *mut ::std::ffi::c_void,
            map: *mut ::std::ffi::c_long,
        ) -> ::std::ffi::c_int {
            // SAFETY: the caller gives the guarantees that the function needs.
            unsafe { $crate::calls::check::<$checker>(checker, map) }
        }

        /// See [`checkers_ffi::calls::pending`].
        ///
        /// # Safety
        /// As stated there.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn libcheck_pending(
            checker: *mut ::std::ffi::c_void,
            map: *mut ::std::ffi::c_long,
        ) -> ::std::ffi::c_int {
            // SAFETY: the caller gives the guarantees that the function needs.
            unsafe { $crate::calls::pending::<$checker>(checker, map) }
        }

        /// See [`checkers_ffi::calls::need_wait`].
        ///
        /// # Safety
        /// As stated there.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn libcheck_need_wait(checker: *mut ::std::ffi::c_void) -> bool {
            // SAFETY: the caller gives the guarantees that the function needs.
            unsafe { $crate::calls::need_wait::<$checker>(checker) }
        }

        /// See [`checkers_ffi::calls::free`].
        ///
        /// # Safety
        /// As stated there.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn libcheck_free(checker: *mut ::std::ffi::c_void) {
            // SAFETY: the caller gives the guarantees that the function needs.
            unsafe { $crate::calls::free::<$checker>(checker) }
        }

        /// See [`checkers_ffi::calls::reset`].
        #[unsafe(no_mangle)]
        pub extern "C" fn libcheck_reset() {
            $crate::calls::reset::<$checker>();
        }

        /// See [`checkers_ffi::calls::assume_abi`].
        #[unsafe(no_mangle)]
        pub extern "C" fn libcheck_assume_abi(letter: ::std::ffi::c_int) -> ::std::ffi::c_int {
            $crate::calls::assume_abi(letter)
        }

        /// 1 once a plugin of the process has reported an unknown host. All plugins use the mark of the
        /// one loaded first.
        #[unsafe(no_mangle)]
        pub static libcheck_unknown_host_reported: $crate::Reported = $crate::Reported::new();

        /// The checker's own messages, from id 100 on.
        #[unsafe(no_mangle)]
        pub static libcheck_msgtable: [$crate::MessagePointer;
            <$checker as ::checkers_core::Checker>::MESSAGES.len() + 1] =
            $crate::message_table(<$checker as ::checkers_core::Checker>::MESSAGES);
    };
}

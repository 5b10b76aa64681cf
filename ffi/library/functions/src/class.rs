// SPDX-License-Identifier: LGPL-2.0-or-later

//! The class of a path, from the host's struct.

use crate::entries::Entries;
use crate::record::PathRecord;
use checkers_core::registry::Class;
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

/// The class of a path.
///
/// # Safety
/// The struct's `cls` must be NULL or what [`crate::Library::get`] has put there.
pub(crate) unsafe fn class(path: PathRecord) -> Option<&'static Class<Entries>> {
    // SAFETY: `Library::get` writes only addresses of classes, which are never freed.
    unsafe { path.class().cast::<Class<Entries>>().as_ref() }
}

/// Whether the checks of this path's class may wait: the function by which a checker asks its host.
///
/// # Safety
/// `checker` must be NULL or a host's struct, its class from [`crate::Library::get`].
pub(crate) unsafe extern "C" fn is_sync(checker: *const c_void) -> c_int {
    let Some(first) = NonNull::new(checker.cast_mut().cast::<*const Class<Entries>>()) else {
        return 0;
    };
    // SAFETY: the class is the struct's first member in every layout, and is NULL or was put there by
    // `Library::get`; classes are never freed.
    unsafe { first.read().as_ref() }.map_or(0, |class| c_int::from(class.is_sync()))
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Looking up the host's functions and variables.
//!
//! A plugin that is linked with libmultipath would be tied to one release by the versions of its symbols,
//! so everything is looked up at run time, unversioned. Lookups return `None` for a symbol that the host
//! lacks.

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

/// Where the host's symbols are: in the global scope, or else in a libmultipath that was loaded with local
/// scope.
pub struct Symbols {
    library: Option<NonNull<c_void>>,
}

impl Symbols {
    /// Opens libmultipath if it is loaded; never loads it. It stays loaded from now on, since pointers into
    /// it are kept.
    #[expect(clippy::new_without_default, reason = "has an effect")]
    pub fn new() -> Symbols {
        // SAFETY: the name is a NUL-terminated string; RTLD_NOLOAD runs no constructor.
        let handle = unsafe {
            libc::dlopen(
                c"libmultipath.so.0".as_ptr(),
                libc::RTLD_LAZY | libc::RTLD_NOLOAD,
            )
        };
        Symbols {
            library: NonNull::new(handle),
        }
    }

    /// Whether libmultipath is loaded as a shared library.
    pub fn has_library(&self) -> bool {
        self.library.is_some()
    }

    /// The address of `name` in the host; `None` if it has no such symbol.
    pub fn find(&self, name: &CStr) -> Option<NonNull<c_void>> {
        // SAFETY: `name` is NUL-terminated and RTLD_DEFAULT is a valid pseudo-handle.
        let global = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        NonNull::new(global).or_else(|| {
            let handle = self.library?.as_ptr();
            // SAFETY: the handle came from dlopen and stays open.
            NonNull::new(unsafe { libc::dlsym(handle, name.as_ptr()) })
        })
    }

    /// Whether the host has the symbol `name`.
    pub fn has(&self, name: &CStr) -> bool {
        self.find(name).is_some()
    }
}

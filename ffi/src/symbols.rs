//! Looking a host's functions and variables up.
//!
//! A plugin that linked against libmultipath would be tied to one release by the version nodes of its
//! symbols, so everything is found at run time, unversioned.

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

/// Where the host's symbols are: in the global scope, else in a libmultipath that somebody loaded
/// with local scope.
pub(crate) struct Symbols {
    library: Option<NonNull<c_void>>,
}

impl Symbols {
    /// Gets hold of libmultipath if it is loaded; never loads it. It stays loaded from now on, as
    /// pointers into it are kept.
    pub(crate) fn new() -> Symbols {
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

    /// Whether a libmultipath is loaded as a library of its own.
    pub(crate) fn has_library(&self) -> bool {
        self.library.is_some()
    }

    /// The address of `name` in the host.
    pub(crate) fn find(&self, name: &CStr) -> Option<NonNull<c_void>> {
        // SAFETY: `name` is NUL-terminated and RTLD_DEFAULT is a valid pseudo-handle.
        let global = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        NonNull::new(global).or_else(|| {
            let handle = self.library?.as_ptr();
            // SAFETY: the handle came from dlopen and is never closed.
            NonNull::new(unsafe { libc::dlsym(handle, name.as_ptr()) })
        })
    }

    pub(crate) fn has(&self, name: &CStr) -> bool {
        self.find(name).is_some()
    }
}

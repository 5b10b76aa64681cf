// SPDX-License-Identifier: LGPL-2.0-or-later

//! Shared objects, by the dynamic linker.

use checkers_core::registry::Name;
use std::ffi::{CStr, c_void};
use std::fmt;
use std::ptr::NonNull;

/// A shared object that is open.
#[derive(Clone, Copy)]
pub(super) struct Object(NonNull<c_void>);

impl Object {
    /// Opens an object. Returns `None` if the dynamic linker refuses.
    ///
    /// # Safety
    /// The object's constructors run: the caller guarantees that they may.
    pub(super) unsafe fn open(path: &CStr) -> Option<Object> {
        // SAFETY: the path is a C string, and the caller guarantees the constructors.
        NonNull::new(unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) }).map(Object)
    }

    /// The function or variable with this name; `None` if the object has none.
    ///
    /// # Safety
    /// `F` must be the type of a pointer to it.
    pub(super) unsafe fn symbol<F: Copy>(self, name: &CStr) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: the handle is open and the name a C string.
        let address = NonNull::new(unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) })?;
        // SAFETY: the caller guarantees the type, and all pointers have one size.
        Some(unsafe { std::mem::transmute_copy(&address) })
    }

    /// Closes the object of the checker `name`.
    ///
    /// # Safety
    /// Nothing of the object may be used afterwards.
    pub(super) unsafe fn close(self, name: &Name) {
        // SAFETY: the handle is open, and the caller guarantees the rest.
        if unsafe { libc::dlclose(self.0.as_ptr()) } != 0 {
            log::error!("Cannot unload checker {name}: {}", Lossy(last_error()));
        }
    }
}

/// Logs the dynamic linker's last error.
pub(super) fn report_error() {
    log::error!(
        "A dynamic linking error occurred: ({})",
        Lossy(last_error())
    );
}

/// The dynamic linker's last error in this thread.
pub(super) fn last_error() -> &'static CStr {
    // SAFETY: dlerror has no precondition.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return c"";
    }
    // SAFETY: the text is valid until this thread's next call of the dynamic linker, and every caller
    // has printed it by then.
    unsafe { CStr::from_ptr(text) }
}

/// Text of unknown encoding in a log line. What is not UTF-8 becomes a replacement character.
pub(super) struct Lossy<'a>(pub(super) &'a CStr);

impl fmt::Display for Lossy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.to_bytes().utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_str("\u{fffd}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bytes_are_replaced() {
        assert_eq!(Lossy(c"a\xffb").to_string(), "a\u{fffd}b");
    }
}

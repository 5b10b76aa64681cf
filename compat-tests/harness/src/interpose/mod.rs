// SPDX-License-Identifier: LGPL-2.0-or-later

//! Functions of the C library that test hosts export in its place ([`crate::export_interposed`]), for plugins and for upstream's
//! libraries: they refuse resources on command, count, and send devices' requests to
//! [`crate::scsi`].
//!
//! A function costs one relaxed load while nothing is armed. What is variadic in C has word-sized
//! parameters here; the 64-bit calling conventions of Linux pass both alike.
//!
//! | module | subject |
//! |---|---|
//! | [`faults`] | which resources are refused, and what is counted |
//! | [`memory`] | the allocator and `mmap` |
//! | [`files`] | descriptors, `ioctl`, `fstat`, and the files that libmultipath looks for |
//! | [`system`] | threads and system calls by number |

pub mod faults;
pub mod files;
pub mod memory;
pub mod system;

use std::ffi::{CStr, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::Relaxed;

/// The definition of `name` that is used where the executable has none; `None` if there is no other.
/// It is looked up once and kept in `cache`. (A `OnceLock` would make system calls itself.)
pub fn next(cache: &AtomicPtr<c_void>, name: &CStr) -> Option<*mut c_void> {
    let mut address = cache.load(Relaxed);
    if address.is_null() {
        // SAFETY: the name ends with NUL.
        address = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
        cache.store(address, Relaxed);
    }
    (!address.is_null()).then_some(address)
}

/// The C library's function behind one of the executable's.
macro_rules! real {
    ($name:literal as fn($($kind:ty),*) -> $answer:ty) => {{
        static CACHE: ::std::sync::atomic::AtomicPtr<::std::ffi::c_void> =
            ::std::sync::atomic::AtomicPtr::new(::std::ptr::null_mut());
        let Some(address) = $crate::interpose::next(&CACHE, $name) else {
            // A C library without its own function: nothing can go on.
            ::std::process::abort()
        };
        // SAFETY: POSIX or Linux gives the function this type.
        unsafe {
            ::std::mem::transmute::<
                *mut ::std::ffi::c_void,
                unsafe extern "C" fn($($kind),*) -> $answer,
            >(address)
        }
    }};
}
use real;

/// Fails as a system call does: sets `errno` and returns -1.
pub fn fail(errno: c_int) -> c_int {
    // SAFETY: the C library's errno of this thread.
    unsafe { *libc::__errno_location() = errno };
    -1
}

fn without_memory() -> *mut c_void {
    fail(libc::ENOMEM);
    null_mut()
}

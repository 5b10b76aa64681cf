// SPDX-License-Identifier: LGPL-2.0-or-later

//! Attributes of worker threads: detached, with a small stack and a guard page.
//!
//! The C library puts the process's static thread-local storage on the stack of each thread. Its size
//! depends on what else is loaded (a preloaded allocator may bring 20 KiB), so it is queried and added.

use checkers_core::pool::STACK_SIZE;
use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

/// The part of [`STACK_SIZE`], in bytes, reserved for the C library's thread block and the thread-local
/// storage of an ordinary process (4224 needed with glibc 2.36).
const ORDINARY_STORAGE: usize = 4608;

pub(super) const PAGE: usize = 4096;

/// Looks up the C library's function on a thread of the host: a lookup that fails leaves an error message,
/// for which the C library allocates.
pub(super) fn prepare() {
    thread_local_storage();
}

/// The size of a worker's stack in bytes, in whole pages: [`STACK_SIZE`], plus the thread-local storage
/// beyond [`ORDINARY_STORAGE`].
pub(super) fn worker_stack_size() -> usize {
    let beyond = thread_local_storage().saturating_sub(ORDINARY_STORAGE);
    STACK_SIZE
        .max(libc::PTHREAD_STACK_MIN)
        .saturating_add(beyond)
        .div_ceil(PAGE)
        .saturating_mul(PAGE)
}

/// How many bytes of a stack the C library takes for itself; 0 if it does not say. It does not change
/// during the life of the process.
fn thread_local_storage() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    *SIZE.get_or_init(|| {
        type Minimum = unsafe extern "C" fn(*const libc::pthread_attr_t) -> usize;
        // SAFETY: the name is NUL-terminated and RTLD_DEFAULT a valid pseudo-handle.
        let function =
            unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__pthread_get_minstack".as_ptr()) };
        if function.is_null() {
            return 0;
        }
        let Ok(attributes) = Attributes::new() else {
            return 0;
        };
        // SAFETY: glibc has had the function with this type since 2.15; the standard library and
        // OpenJDK call it too. The attributes are initialised.
        let minimum =
            unsafe { std::mem::transmute::<*mut c_void, Minimum>(function)(attributes.as_ptr()) };
        // A page, the storage, and the smallest stack that POSIX allows.
        minimum.saturating_sub(PAGE + libc::PTHREAD_STACK_MIN)
    })
}

/// The result of a function that returns an error number.
pub(super) fn check(code: libc::c_int) -> io::Result<()> {
    match code {
        0 => Ok(()),
        _ => Err(io::Error::from_raw_os_error(code)),
    }
}

pub(super) struct Attributes(MaybeUninit<libc::pthread_attr_t>);

impl Attributes {
    /// For a detached thread with a stack of the default size and a guard page.
    ///
    /// # Errors
    /// When the C library has no memory for them.
    pub(super) fn new() -> io::Result<Attributes> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the pointer is to memory of the right size and type.
        check(unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) })?;
        let mut attributes = Attributes(attributes);
        // SAFETY: pthread_attr_init has initialised the attributes.
        check(unsafe {
            libc::pthread_attr_setdetachstate(
                attributes.0.as_mut_ptr(),
                libc::PTHREAD_CREATE_DETACHED,
            )
        })?;
        // SAFETY: likewise. An overflow ends the process there, instead of writing into a neighbour.
        check(unsafe { libc::pthread_attr_setguardsize(attributes.0.as_mut_ptr(), PAGE) })?;
        Ok(attributes)
    }

    pub(super) fn as_ptr(&self) -> *const libc::pthread_attr_t {
        self.0.as_ptr()
    }

    /// In bytes.
    pub(super) fn stack_size(&self) -> usize {
        let mut size = 0;
        // SAFETY: `new` only makes values that pthread_attr_init has initialised.
        unsafe { libc::pthread_attr_getstacksize(self.0.as_ptr(), &mut size) };
        size
    }

    /// In bytes.
    ///
    /// # Errors
    /// When the C library refuses so small a stack.
    pub(super) fn set_stack_size(&mut self, size: usize) -> io::Result<()> {
        // SAFETY: `new` only makes values that pthread_attr_init has initialised.
        check(unsafe { libc::pthread_attr_setstacksize(self.0.as_mut_ptr(), size) })
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: `new` only makes values that pthread_attr_init has initialised.
        unsafe { libc::pthread_attr_destroy(self.0.as_mut_ptr()) };
    }
}

//! Functions of the C library that test hosts export in its place, for plugins and for upstream's
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

/// Defines functions under C names that pass their arguments on.
#[macro_export]
macro_rules! export_functions {
    ($(fn $name:ident($($arg:ident: $kind:ty),* $(,)?) -> $answer:ty = $to:path;)*) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($arg: $kind),*) -> $answer {
                // SAFETY: the caller's promise to the function of that name is the one needed here.
                unsafe { $to($($arg),*) }
            }
        )*
    };
}

/// Exports the functions that SCSI devices need: `ioctl`, and `fcntl`, which duplicates their
/// descriptors. For hosts that run under tools which replace the rest of the C library themselves.
#[macro_export]
macro_rules! export_devices {
    () => {
        $crate::export_functions! {
            fn ioctl(fd: ::std::ffi::c_int, request: ::std::ffi::c_ulong,
                argument: *mut ::std::ffi::c_void) -> ::std::ffi::c_int
                = $crate::interpose::files::ioctl;
            fn fcntl(fd: ::std::ffi::c_int, command: ::std::ffi::c_int, argument: usize)
                -> ::std::ffi::c_int = $crate::interpose::files::fcntl;
        }
    };
}

/// Exports all interposed functions; to be used once, in an executable.
#[macro_export]
macro_rules! export_interposed {
    () => {
        $crate::export_devices!();
        $crate::export_functions! {
            fn malloc(size: usize) -> *mut ::std::ffi::c_void = $crate::interpose::memory::malloc;
            fn calloc(count: usize, size: usize) -> *mut ::std::ffi::c_void
                = $crate::interpose::memory::calloc;
            fn realloc(old: *mut ::std::ffi::c_void, size: usize) -> *mut ::std::ffi::c_void
                = $crate::interpose::memory::realloc;
            fn aligned_alloc(alignment: usize, size: usize) -> *mut ::std::ffi::c_void
                = $crate::interpose::memory::memalign;
            fn memalign(alignment: usize, size: usize) -> *mut ::std::ffi::c_void
                = $crate::interpose::memory::memalign;
            fn posix_memalign(place: *mut *mut ::std::ffi::c_void, alignment: usize, size: usize)
                -> ::std::ffi::c_int = $crate::interpose::memory::posix_memalign;
            fn free(memory: *mut ::std::ffi::c_void) -> () = $crate::interpose::memory::free;
            fn mmap(at: *mut ::std::ffi::c_void, length: usize, protection: ::std::ffi::c_int,
                flags: ::std::ffi::c_int, fd: ::std::ffi::c_int, offset: i64)
                -> *mut ::std::ffi::c_void = $crate::interpose::memory::mmap;
            fn mmap64(at: *mut ::std::ffi::c_void, length: usize, protection: ::std::ffi::c_int,
                flags: ::std::ffi::c_int, fd: ::std::ffi::c_int, offset: i64)
                -> *mut ::std::ffi::c_void = $crate::interpose::memory::mmap;
            fn fcntl64(fd: ::std::ffi::c_int, command: ::std::ffi::c_int, argument: usize)
                -> ::std::ffi::c_int = $crate::interpose::files::fcntl;
            fn dup(fd: ::std::ffi::c_int) -> ::std::ffi::c_int = $crate::interpose::files::dup;
            fn open(path: *const ::std::ffi::c_char, flags: ::std::ffi::c_int,
                mode: ::std::ffi::c_int) -> ::std::ffi::c_int = $crate::interpose::files::open;
            fn open64(path: *const ::std::ffi::c_char, flags: ::std::ffi::c_int,
                mode: ::std::ffi::c_int) -> ::std::ffi::c_int = $crate::interpose::files::open;
            fn close(fd: ::std::ffi::c_int) -> ::std::ffi::c_int = $crate::interpose::files::close;
            fn fstat(fd: ::std::ffi::c_int, stat: *mut ::std::ffi::c_void) -> ::std::ffi::c_int
                = $crate::interpose::files::fstat;
            fn fstat64(fd: ::std::ffi::c_int, stat: *mut ::std::ffi::c_void) -> ::std::ffi::c_int
                = $crate::interpose::files::fstat;
            fn stat64(path: *const ::std::ffi::c_char, stat: *mut ::std::ffi::c_void)
                -> ::std::ffi::c_int = $crate::interpose::files::stat64;
            fn dlopen(path: *const ::std::ffi::c_char, flags: ::std::ffi::c_int)
                -> *mut ::std::ffi::c_void = $crate::interpose::files::dlopen;
            fn pthread_create(thread: *mut $crate::interpose::system::Thread,
                attributes: *const ::std::ffi::c_void, start: $crate::interpose::system::Start,
                argument: *mut ::std::ffi::c_void) -> ::std::ffi::c_int
                = $crate::interpose::system::pthread_create;
            fn syscall(number: ::std::ffi::c_long, a: usize, b: usize, c: usize, d: usize,
                e: usize, f: usize) -> ::std::ffi::c_long = $crate::interpose::system::syscall;
        }
    };
}

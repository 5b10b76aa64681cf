// SPDX-License-Identifier: LGPL-2.0-or-later

//! The macros by which a host executable exports functions under their C names. Each is used at most
//! once, in the executable itself: symbols of a library would not be exported.

/// Exports functions under these names, which pass their arguments on.
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

/// Exports what every host from 0.8.6 on has: `checker_is_sync`, `dlog`, and the static
/// `libmp_verbosity`, which the executable's `main` gives to
/// [`use_verbosity`](crate::host::use_verbosity).
#[macro_export]
macro_rules! export_libmultipath {
    () => {
        #[unsafe(no_mangle)]
        #[allow(non_upper_case_globals)]
        static libmp_verbosity: ::std::sync::atomic::AtomicI32 =
            ::std::sync::atomic::AtomicI32::new(4);

        $crate::export_functions! {
            fn checker_is_sync(checker: *const ::std::ffi::c_void) -> ::std::ffi::c_int
                = $crate::host::checker_is_sync;
            fn dlog(level: ::std::ffi::c_int, format: *const ::std::ffi::c_char, a: usize,
                b: usize, c: usize, d: usize) -> () = $crate::host::dlog;
        }
    };
}

/// Exports `start_checker_thread`, as 0.8.6 to 0.14 do.
#[macro_export]
macro_rules! export_start_checker_thread {
    () => {
        $crate::export_functions! {
            fn start_checker_thread(thread: *mut $crate::interpose::system::Thread,
                attributes: *const ::std::ffi::c_void, context: *mut ::std::ffi::c_void)
                -> ::std::ffi::c_int = $crate::host::start_checker_thread;
        }
    };
}

/// Exports functions by which plugins recognise a release; see [`forward`](crate::host::forward).
#[macro_export]
macro_rules! export_forwarded {
    ($($name:ident),* $(,)?) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name(
                a: usize, b: usize, c: usize, d: usize, e: usize, f: usize,
            ) -> usize {
                static CACHE: ::std::sync::atomic::AtomicPtr<::std::ffi::c_void> =
                    ::std::sync::atomic::AtomicPtr::new(::std::ptr::null_mut());
                const NAME: &::std::ffi::CStr = match ::std::ffi::CStr::from_bytes_with_nul(
                    concat!(stringify!($name), "\0").as_bytes(),
                ) {
                    Ok(name) => name,
                    Err(_) => c"",
                };
                // SAFETY: the caller's promise to libmultipath's function is the one needed here.
                unsafe { $crate::host::forward(&CACHE, NAME, [a, b, c, d, e, f]) }
            }
        )*
    };
}

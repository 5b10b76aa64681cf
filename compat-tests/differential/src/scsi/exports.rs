//! What the executables export under names that plugins and libmultipath know. It is found before the
//! functions of the libraries.

use crate::scsi::{device, host, upstream};
use std::ffi::{CStr, OsStr, c_char, c_int, c_ulong, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `ioctl`: answered by a device of this process, or by the kernel.
///
/// # Safety
/// As the system's `ioctl`; `argument` must be what `request` needs.
pub unsafe fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    // SAFETY: the caller's promises are passed on.
    unsafe { device::ioctl(fd, request, argument) }
}

/// `fcntl`: likewise, where it duplicates a descriptor.
///
/// # Safety
/// As the system's `fcntl`; `argument` must be what `command` needs.
pub unsafe fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: the caller's promises are passed on.
    unsafe { device::fcntl(fd, command, argument) }
}

/// `close`: likewise.
///
/// # Safety
/// As the system's `close`.
pub unsafe fn close(fd: c_int) -> c_int {
    // SAFETY: the caller's promises are passed on.
    unsafe { device::close(fd) }
}

/// `fstat`: likewise.
///
/// # Safety
/// As the system's `fstat`.
pub unsafe fn fstat(fd: c_int, stat: *mut c_void) -> c_int {
    // SAFETY: the caller's promises are passed on.
    unsafe { device::fstat(fd, stat.cast()) }
}

/// `checker_is_sync`.
pub fn checker_is_sync() -> c_int {
    host::is_sync()
}

/// `dlog`, with word-sized parameters in the place of variadic ones.
///
/// # Safety
/// `format` must be a C format string for at most these words.
pub unsafe fn dlog(level: c_int, format: *const c_char, words: [usize; 4]) {
    // SAFETY: the caller's promises are passed on.
    unsafe { host::log(level, format, words) }
}

/// `start_checker_thread`.
///
/// # Safety
/// As `pthread_create`; `context` must be what the plugin's `libcheck_thread` takes.
pub unsafe fn start_checker_thread(
    thread: *mut c_void,
    attributes: *const c_void,
    context: *mut c_void,
) -> c_int {
    // SAFETY: the caller's promises are passed on.
    unsafe { host::start_thread(thread.cast(), attributes.cast(), context) }
}

/// `stat64`: of a plugin that libmultipath looks for, or of any other file.
///
/// # Safety
/// As the system's `stat64`.
pub unsafe fn stat64(name: *const c_char, stat: *mut c_void) -> c_int {
    // SAFETY: the caller's promises are passed on.
    unsafe {
        with_plugin_in_place(name, |name| {
            libc::fstatat64(libc::AT_FDCWD, name, stat.cast(), 0)
        })
    }
}

/// `dlopen`: likewise.
///
/// # Safety
/// As the system's `dlopen`.
pub unsafe fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void {
    type Dlopen = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
    // SAFETY: the C library behind this program has the function, with this type; the caller's
    // promises are passed on.
    unsafe {
        let next = libc::dlsym(libc::RTLD_NEXT, c"dlopen".as_ptr());
        assert!(!next.is_null(), "a C library without dlopen");
        let dlopen: Dlopen = std::mem::transmute(next);
        with_plugin_in_place(name, |name| dlopen(name, flags))
    }
}

/// # Safety
/// `name` must be NULL or a string.
unsafe fn with_plugin_in_place<R>(name: *const c_char, then: impl FnOnce(*const c_char) -> R) -> R {
    if !name.is_null() {
        // SAFETY: the caller vouches for the string.
        let path = Path::new(OsStr::from_bytes(
            unsafe { CStr::from_ptr(name) }.to_bytes(),
        ));
        if let Some(plugin) = upstream::plugin_in_place_of(path) {
            return then(plugin.as_ptr());
        }
    }
    then(name)
}

/// Exports what hosts of every release have: `libmp_verbosity`, `checker_is_sync`, `dlog`, and in the
/// place of the C library's functions `ioctl`, `fcntl`, `close` and `fstat`, also as the last is called
/// where time and file sizes have 64 bits.
#[macro_export]
macro_rules! export_scsi_host {
    () => {
        #[unsafe(no_mangle)]
        #[allow(non_upper_case_globals)]
        static libmp_verbosity: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(4);

        /// Variadic in C; the third argument comes the same way.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn ioctl(
            fd: std::ffi::c_int,
            request: std::ffi::c_ulong,
            argument: *mut std::ffi::c_void,
        ) -> std::ffi::c_int {
            // SAFETY: the caller's promises are passed on.
            unsafe { $crate::scsi::exports::ioctl(fd, request, argument) }
        }

        /// Variadic in C; the third argument comes the same way.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn fcntl(
            fd: std::ffi::c_int,
            command: std::ffi::c_int,
            argument: usize,
        ) -> std::ffi::c_int {
            // SAFETY: the caller's promises are passed on.
            unsafe { $crate::scsi::exports::fcntl(fd, command, argument) }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn close(fd: std::ffi::c_int) -> std::ffi::c_int {
            // SAFETY: the caller's promises are passed on.
            unsafe { $crate::scsi::exports::close(fd) }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn fstat(
            fd: std::ffi::c_int,
            stat: *mut std::ffi::c_void,
        ) -> std::ffi::c_int {
            // SAFETY: the caller's promises are passed on.
            unsafe { $crate::scsi::exports::fstat(fd, stat) }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn fstat64(
            fd: std::ffi::c_int,
            stat: *mut std::ffi::c_void,
        ) -> std::ffi::c_int {
            // SAFETY: on 64-bit systems it is the same function.
            unsafe { $crate::scsi::exports::fstat(fd, stat) }
        }

        #[unsafe(no_mangle)]
        extern "C" fn checker_is_sync(_: *const std::ffi::c_void) -> std::ffi::c_int {
            $crate::scsi::exports::checker_is_sync()
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn dlog(
            level: std::ffi::c_int,
            format: *const std::ffi::c_char,
            a: usize,
            b: usize,
            c: usize,
            d: usize,
        ) {
            // SAFETY: callers pass a format and what it needs; checkers need at most four words.
            unsafe { $crate::scsi::exports::dlog(level, format, [a, b, c, d]) }
        }
    };
}

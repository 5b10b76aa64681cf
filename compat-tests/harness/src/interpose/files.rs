// SPDX-License-Identifier: LGPL-2.0-or-later

//! Descriptors, which may be those of SCSI devices of [`crate::scsi`], and the files that
//! libmultipath looks for.

use super::faults::{Resource, is_refused};
use super::{fail, real};
use crate::scsi;
use std::ffi::{CStr, c_char, c_int, c_ulong, c_void};
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Release};

/// # Safety
/// As the C library's; `argument` must be what `request` needs.
pub unsafe fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    if let Some(device) = scsi::Device::behind(fd) {
        // SAFETY: the caller's promise.
        if let Some(result) = unsafe { scsi::command(device, request, argument) } {
            return match result {
                Ok(()) => 0,
                Err(errno) => fail(errno),
            };
        }
    }
    // SAFETY: the caller's promise.
    unsafe { libc::syscall(libc::SYS_ioctl, fd, request, argument) as c_int }
}

/// # Safety
/// As the C library's; `argument` must be what `command` needs.
pub unsafe fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    let duplicates = [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC].contains(&command);
    if duplicates && is_refused(Resource::Descriptors) {
        return fail(libc::EMFILE);
    }
    // SAFETY: the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_fcntl, fd, command, argument) as c_int };
    if duplicates {
        scsi::duplicated(fd, result);
    }
    result
}

/// # Safety
/// As the C library's.
pub unsafe fn dup(fd: c_int) -> c_int {
    if is_refused(Resource::Descriptors) {
        return fail(libc::EMFILE);
    }
    let real = real!(c"dup" as fn(c_int) -> c_int);
    // SAFETY: the caller's promise.
    let result = unsafe { real(fd) };
    scsi::duplicated(fd, result);
    result
}

/// # Safety
/// As the C library's.
pub unsafe fn open(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    if is_refused(Resource::Descriptors) {
        return fail(libc::EMFILE);
    }
    let real = real!(c"open" as fn(*const c_char, c_int, c_int) -> c_int);
    // SAFETY: the caller's promise.
    unsafe { real(path, flags, mode) }
}

/// # Safety
/// As the C library's.
pub unsafe fn close(fd: c_int) -> c_int {
    scsi::closed(fd);
    let real = real!(c"close" as fn(c_int) -> c_int);
    // SAFETY: the caller's promise.
    unsafe { real(fd) }
}

/// # Safety
/// As the C library's.
pub unsafe fn fstat(fd: c_int, stat: *mut c_void) -> c_int {
    if let Some(device) = scsi::Device::behind(fd) {
        // SAFETY: the caller's promise.
        if unsafe { scsi::fstat(device, stat.cast()) } {
            return 0;
        }
    }
    let real = real!(c"fstat" as fn(c_int, *mut c_void) -> c_int);
    // SAFETY: the caller's promise.
    unsafe { real(fd, stat) }
}

/// Chooses another file for a path; `None` for the path itself.
pub type Redirect = fn(&CStr) -> Option<&'static CStr>;

static REDIRECT: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// From now on `stat64` and `dlopen` take other files for paths: libmultipath then loads plugins
/// that are not in its own directory.
pub fn redirect(function: Redirect) {
    REDIRECT.store(function as *mut c_void, Release);
}

/// # Safety
/// `path` must be NULL or a string.
unsafe fn redirected(path: *const c_char) -> *const c_char {
    let function = REDIRECT.load(Acquire);
    if function.is_null() || path.is_null() {
        return path;
    }
    // SAFETY: only `redirect` stores there, a function of this type.
    let function = unsafe { std::mem::transmute::<*mut c_void, Redirect>(function) };
    // SAFETY: the caller's promise.
    match function(unsafe { CStr::from_ptr(path) }) {
        Some(other) => other.as_ptr(),
        None => path,
    }
}

/// # Safety
/// As the C library's.
pub unsafe fn stat64(path: *const c_char, stat: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { libc::fstatat64(libc::AT_FDCWD, redirected(path), stat.cast(), 0) }
}

/// # Safety
/// As the C library's.
pub unsafe fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void {
    let real = real!(c"dlopen" as fn(*const c_char, c_int) -> *mut c_void);
    // SAFETY: the caller's promise.
    unsafe { real(redirected(path), flags) }
}

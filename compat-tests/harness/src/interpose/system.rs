// SPDX-License-Identifier: LGPL-2.0-or-later

//! Threads, and system calls by number.

use super::faults::{Resource, SYSCALL_HOOK, arm, armed, is_counting, is_refused};
use super::{fail, real};
use std::ffi::{c_int, c_long, c_void};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicU64};

/// `pthread_t`, a word in glibc and musl.
pub type Thread = libc::pthread_t;

/// What a thread runs.
pub type Start = extern "C" fn(*mut c_void) -> *mut c_void;

static CREATED: AtomicU64 = AtomicU64::new(0);
static SUBMITTING: AtomicU64 = AtomicU64::new(0);

/// How many threads have been started through `pthread_create`, by the host or a plugin.
pub fn threads_created() -> u64 {
    CREATED.load(Relaxed)
}

/// How many threads are inside `io_submit`, after [`count`](super::faults::count).
pub fn submitting() -> u64 {
    SUBMITTING.load(SeqCst)
}

/// # Safety
/// As the C library's.
pub unsafe fn pthread_create(
    thread: *mut Thread,
    attributes: *const c_void,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    if is_refused(Resource::Threads) {
        return libc::EAGAIN;
    }
    CREATED.fetch_add(1, Relaxed);
    let real =
        real!(c"pthread_create" as fn(*mut Thread, *const c_void, Start, *mut c_void) -> c_int);
    // SAFETY: the caller's promise.
    unsafe { real(thread, attributes, start, argument) }
}

/// Answers a system call by its number and arguments; `None` passes it on.
pub type Hook = fn(c_long, [usize; 6]) -> Option<c_long>;

static HOOK: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// From now on `syscall` asks this function first; `None` ends that.
pub fn hook_syscalls(hook: Option<Hook>) {
    let function = match hook {
        Some(hook) => hook as *mut c_void,
        None => std::ptr::null_mut(),
    };
    HOOK.store(function, Release);
    arm(SYSCALL_HOOK, hook.is_some());
}

fn hooked(number: c_long, arguments: [usize; 6]) -> Option<c_long> {
    let hook = HOOK.load(Acquire);
    if hook.is_null() {
        return None;
    }
    // SAFETY: only `hook_syscalls` stores there, a function of this type.
    let hook = unsafe { std::mem::transmute::<*mut c_void, Hook>(hook) };
    hook(number, arguments)
}

/// # Safety
/// As the C library's.
pub unsafe fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    let submits = number == libc::SYS_io_submit;
    if armed() != 0 {
        if armed() & SYSCALL_HOOK != 0 {
            if let Some(result) = hooked(number, [a, b, c, d, e, f]) {
                return result;
            }
        }
        let setup = number == libc::SYS_io_setup && is_refused(Resource::Contexts);
        if setup || submits && is_refused(Resource::Requests) {
            return fail(libc::EAGAIN).into();
        }
    }
    let real = real!(c"syscall" as fn(c_long, usize, usize, usize, usize, usize, usize) -> c_long);
    // Benchmarks do not count: upstream's plugins do not come through here.
    let counted = submits && is_counting();
    if counted {
        SUBMITTING.fetch_add(1, SeqCst);
    }
    // SAFETY: the caller's promise.
    let result = unsafe { real(number, a, b, c, d, e, f) };
    if counted {
        SUBMITTING.fetch_sub(1, SeqCst);
    }
    result
}

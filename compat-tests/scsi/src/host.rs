//! What this process offers to plugins in the place of libmultipath's own functions, and what it
//! writes down about their use.
//!
//! The rest of libmultipath is the real one, which the C plugins bring along.

use compat_tests::plugin::ThreadFn;
use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What `checker_is_sync` says.
static SYNC: AtomicBool = AtomicBool::new(true);
/// `libcheck_thread` of the C plugin.
static THREAD: Mutex<Option<ThreadFn>> = Mutex::new(None);
/// How often the C plugin started a thread.
static STARTED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// What was logged on this thread. The threads of the C tur checker log too, but only that they
    /// start and end.
    static LINES: RefCell<Vec<(c_int, String)>> = const { RefCell::new(Vec::new()) };
}

/// Whether hosts wait for verdicts from now on.
pub(crate) fn set_sync(sync: bool) {
    SYNC.store(sync, Ordering::SeqCst);
}

/// `checker_is_sync`.
pub(crate) fn is_sync() -> c_int {
    c_int::from(SYNC.load(Ordering::SeqCst))
}

/// What to run when the C plugin wants a thread.
pub(crate) fn set_thread(function: Option<ThreadFn>) {
    *THREAD.lock().unwrap_or_else(PoisonError::into_inner) = function;
}

/// How many threads the C plugin has started.
pub(crate) fn threads_started() -> usize {
    STARTED.load(Ordering::SeqCst)
}

/// The lines that were logged on this thread since the last call, with their levels.
pub(crate) fn take_lines() -> Vec<(c_int, String)> {
    LINES.take()
}

/// `dlog`. The exported function has word-sized parameters in the place of variadic ones, which the
/// 64-bit calling conventions of Linux pass alike.
///
/// # Safety
/// `format` must be a C format string for at most four word-sized arguments.
pub(crate) unsafe fn log(level: c_int, format: *const c_char, words: [usize; 4]) {
    let mut text: [c_char; 512] = [0; 512];
    let [a, b, c, d] = words;
    // SAFETY: the buffer's length is given, and the caller vouches for the rest. snprintf ends the
    // text with NUL.
    let text = unsafe {
        libc::snprintf(text.as_mut_ptr(), text.len(), format, a, b, c, d);
        CStr::from_ptr(text.as_ptr())
    };
    let line = text.to_string_lossy().into_owned();
    LINES.with_borrow_mut(|lines| lines.push((level, line)));
}

/// `start_checker_thread`.
///
/// # Safety
/// As `pthread_create`; `context` must be what the plugin's `libcheck_thread` takes.
pub(crate) unsafe fn start_thread(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    context: *mut c_void,
) -> c_int {
    let Some(function) = *THREAD.lock().unwrap_or_else(PoisonError::into_inner) else {
        return libc::EINVAL;
    };
    STARTED.fetch_add(1, Ordering::SeqCst);
    // SAFETY: the caller's arguments are passed on.
    unsafe { libc::pthread_create(thread, attributes, function, context) }
}

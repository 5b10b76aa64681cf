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
    static LINES: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// What plugins logged on runner threads, with the descriptors of their paths.
static HANDED_OVER: Mutex<Vec<(c_int, Line)>> = Mutex::new(Vec::new());

/// A line of the log, with its level.
type Line = (c_int, String);

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
pub(crate) fn take_lines() -> Vec<Line> {
    LINES.take()
}

/// Whether a line of a host that comes back tells something: that checks start, run and end does not,
/// as how often somebody looks depends on the machine.
pub(crate) fn is_telling(level: c_int, line: &str) -> bool {
    level < 4 && !line.ends_with("not finished\n")
}

/// Does something whose lines do not count: the host's own.
pub(crate) fn silently<R>(what: impl FnOnce() -> R) -> R {
    let before = take_lines();
    let result = what();
    LINES.set(before);
    result
}

/// Leaves this thread's lines to whoever collects the verdict of the path with this descriptor.
pub(crate) fn hand_over_lines(fd: c_int) {
    let lines = take_lines();
    if !lines.is_empty() {
        let mut all = HANDED_OVER.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(lines.into_iter().map(|line| (fd, line)));
    }
}

/// Takes over what was left for the path with this descriptor, as if this thread had logged it.
pub(crate) fn take_over_lines(fd: c_int) {
    let mut all = HANDED_OVER.lock().unwrap_or_else(PoisonError::into_inner);
    let (mine, others): (Vec<_>, Vec<_>) = all.drain(..).partition(|(whose, _)| *whose == fd);
    *all = others;
    LINES.with_borrow_mut(|lines| lines.extend(mine.into_iter().map(|(_, line)| line)));
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

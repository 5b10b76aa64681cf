// SPDX-License-Identifier: LGPL-2.0-or-later

//! The functions of libmultipath that test hosts export, and the record of what plugins did with
//! them.

use crate::interpose::system::{Start, Thread, pthread_create};
use crate::plugin::ThreadFn;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicUsize, Ordering};

/// The class-wide flag behind `checker_is_sync`.
static SYNC: AtomicI32 = AtomicI32::new(1);
/// Whether `checker_is_sync` accepts only [`class`].
static CLASS_CHECKED: AtomicBool = AtomicBool::new(true);
/// What takes log records; NULL for [`take_lines`].
static SINK: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
/// What `start_checker_thread` runs; NULL when plugins must not call it.
static CHECKER_THREAD: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
static CHECKER_THREADS: AtomicUsize = AtomicUsize::new(0);
/// The log records, with their levels.
static LINES: Mutex<Vec<(c_int, String)>> = Mutex::new(Vec::new());
/// What a plugin did that no plugin may do.
static VIOLATIONS: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// What `cls` points to: nothing that a plugin may read. A real libmultipath finds zeros, hence a
/// class that is not synchronous.
static CLASS: [u64; 64] = [0; 64];

/// The value of `cls`.
pub fn class() -> *mut c_void {
    (&raw const CLASS).cast_mut().cast()
}

/// Sets the class-wide flag, as `checker_set_sync` and `checker_set_async` do.
pub fn set_sync(sync: bool) {
    SYNC.store(c_int::from(sync), Ordering::SeqCst);
}

/// Takes the lines logged since the last call.
pub fn take_lines() -> Vec<(c_int, String)> {
    std::mem::take(&mut *LINES.lock().unwrap_or_else(|broken| broken.into_inner()))
}

/// Takes the record of what plugins must not do.
pub fn take_violations() -> Vec<String> {
    std::mem::take(
        &mut *VIOLATIONS
            .lock()
            .unwrap_or_else(|broken| broken.into_inner()),
    )
}

fn violation(what: &str) {
    VIOLATIONS
        .lock()
        .unwrap_or_else(|broken| broken.into_inner())
        .push(what.to_owned());
}

/// From now on `checker_is_sync` takes any class: libmultipath makes its own.
pub fn accept_any_class() {
    CLASS_CHECKED.store(false, Ordering::SeqCst);
}

/// `checker_is_sync`: whether the struct's class is synchronous.
///
/// # Safety
/// `checker` must be NULL or point to a struct checker.
pub unsafe fn checker_is_sync(checker: *const c_void) -> c_int {
    if CLASS_CHECKED.load(Ordering::Relaxed) {
        if checker.is_null() {
            violation("checker_is_sync(NULL)");
            return 0;
        }
        // SAFETY: `cls` is the first word of the struct in every layout.
        let cls = unsafe { checker.cast::<*mut c_void>().read_unaligned() };
        if cls != class() {
            violation("checker_is_sync of something that is no struct checker");
            return 0;
        }
    }
    SYNC.load(Ordering::SeqCst)
}

/// Takes a log record: its level, and its text as `dlog` formats it.
pub type Sink = fn(c_int, &CStr);

/// From now on log records go to this function instead of [`take_lines`].
pub fn use_sink(sink: Sink) {
    SINK.store(sink as *mut c_void, Ordering::Release);
}

/// `dlog`: formats and keeps one line.
///
/// `dlog` is variadic, and stable Rust cannot define variadic functions. On the 64-bit ABIs of Linux
/// a variadic callee finds integer and pointer arguments where a callee with as many word-sized
/// parameters does, so the exported functions have six of those; checkers log no floating point.
///
/// # Safety
/// `format` must be a C format string that needs at most the four words that follow.
pub unsafe fn log(level: c_int, format: *const c_char, words: [usize; 4]) {
    const { assert!(size_of::<usize>() == 8) };
    let mut text: [c_char; 1024] = [0; 1024];
    let [a, b, c, d] = words;
    // SAFETY: the buffer's size is given; the caller vouches for the format and the words. snprintf
    // ends the text with NUL.
    let text = unsafe {
        libc::snprintf(text.as_mut_ptr(), text.len(), format, a, b, c, d);
        CStr::from_ptr(text.as_ptr())
    };
    let sink = SINK.load(Ordering::Acquire);
    if !sink.is_null() {
        // SAFETY: only `use_sink` stores there, a function of this type.
        let sink = unsafe { std::mem::transmute::<*mut c_void, Sink>(sink) };
        return sink(level, text);
    }
    let line = line_of(text);
    LINES
        .lock()
        .unwrap_or_else(|broken| broken.into_inner())
        .push((level, line));
}

/// The text of a log record without its newline, which must be there.
pub fn line_of(text: &CStr) -> String {
    let text = text.to_string_lossy();
    match text.strip_suffix('\n') {
        Some(line) => line.to_owned(),
        None => format!("{text} (no newline)"),
    }
}

/// `dlog` from 0.8.6 on.
///
/// # Safety
/// As [`log`].
pub unsafe fn dlog(level: c_int, format: *const c_char, a: usize, b: usize, c: usize, d: usize) {
    // SAFETY: the caller's promise.
    unsafe { log(level, format, [a, b, c, d]) }
}

/// The value of `logsink` in releases that have it.
pub const LOGSINK: c_int = -1;

/// `dlog` before 0.8.6, which takes the sink first.
///
/// # Safety
/// As [`log`], for three words.
pub unsafe fn old_dlog(
    sink: c_int,
    level: c_int,
    format: *const c_char,
    a: usize,
    b: usize,
    c: usize,
) {
    if sink != LOGSINK {
        unexpected_call("dlog without the value of logsink");
        return;
    }
    // SAFETY: the caller's promise.
    unsafe { log(level, format, [a, b, c, 0]) }
}

/// What `start_checker_thread` runs from now on: a plugin's `libcheck_thread`. Before that, and
/// after `None`, a call of it is recorded as an error.
pub fn use_checker_thread(function: Option<ThreadFn>) {
    let function = function.map_or(null_mut(), |function| function as *mut c_void);
    CHECKER_THREAD.store(function, Ordering::Release);
}

/// How many threads `start_checker_thread` has started or tried to start.
pub fn checker_threads() -> usize {
    CHECKER_THREADS.load(Ordering::SeqCst)
}

/// `start_checker_thread`. The original also takes a reference to the checker's class and registers
/// the thread with liburcu, which upstream's checkers are spared here.
///
/// # Safety
/// As `pthread_create`; `context` must be what the plugin's `libcheck_thread` takes.
pub unsafe fn start_checker_thread(
    thread: *mut Thread,
    attributes: *const c_void,
    context: *mut c_void,
) -> c_int {
    let start = CHECKER_THREAD.load(Ordering::Acquire);
    if start.is_null() {
        unexpected_call("start_checker_thread");
        return libc::EINVAL;
    }
    CHECKER_THREADS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: only `use_checker_thread` stores there, a function of this type.
    let start = unsafe { std::mem::transmute::<*mut c_void, Start>(start) };
    // SAFETY: the caller's promise.
    unsafe { pthread_create(thread, attributes, start, context) }
}

/// A function by whose presence plugins recognize the release that loaded them. They must not call it; only
/// libmultipath does, if the host has loaded it. Calls go on to libmultipath's own.
///
/// # Safety
/// The arguments must be what libmultipath's function takes.
pub unsafe fn forward(cache: &AtomicPtr<c_void>, name: &CStr, words: [usize; 6]) -> usize {
    type Function = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize) -> usize;
    let Some(real) = crate::interpose::next(cache, name) else {
        unexpected_call(&name.to_string_lossy());
        return 0;
    };
    let [a, b, c, d, e, f] = words;
    // SAFETY: the caller vouches for the arguments, which are integers and pointers, as the result is:
    // these are passed alike whatever their types.
    unsafe { std::mem::transmute::<*mut c_void, Function>(real)(a, b, c, d, e, f) }
}

/// Records that a plugin called a host function that plugins must not call.
pub fn unexpected_call(name: &str) {
    violation(&format!("{name} was called"));
}

/// The symbols by which ABIs are recognized.
const ABI_SYMBOLS: [&CStr; 9] = [
    c"checker_is_sync",
    c"checker_check",
    c"dlog",
    c"libmp_verbosity",
    c"logsink",
    c"start_checker_thread",
    c"checker_need_wait",
    c"mt_udev_ref",
    c"get_runner",
];

/// The symbols by which ABIs are recognized that a plugin in this process finds.
pub fn visible() -> Vec<&'static str> {
    ABI_SYMBOLS
        .iter()
        .filter(|name| {
            // SAFETY: a name that ends with NUL, searched in the global scope.
            !unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }.is_null()
        })
        .filter_map(|name| name.to_str().ok())
        .collect()
}

/// Where the executable keeps its verbosity, if it does.
static VERBOSITY: Mutex<Option<&'static AtomicI32>> = Mutex::new(None);

/// Tells the library where the executable's `libmp_verbosity` is.
pub fn use_verbosity(at: &'static AtomicI32) {
    *VERBOSITY
        .lock()
        .unwrap_or_else(|broken| broken.into_inner()) = Some(at);
}

/// Sets the verbosity, 0 to 4; hosts that have none ignore it.
pub fn set_verbosity(level: i32) {
    if let Some(at) = *VERBOSITY
        .lock()
        .unwrap_or_else(|broken| broken.into_inner())
    {
        at.store(level, Ordering::SeqCst);
    }
}

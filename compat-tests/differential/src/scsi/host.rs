//! What this process offers to plugins in the place of libmultipath's own functions, and what it
//! writes down about their use.
//!
//! The rest of libmultipath is the real one, which the C plugins bring along.

use crate::scsi::device;
use harness::plugin::ThreadFn;
use std::cell::{Cell, RefCell};
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
    /// The descriptor of the path that this thread is the host of.
    static PATH: Cell<Option<c_int>> = const { Cell::new(None) };
    /// That of the device to which this thread sent its last command.
    static DEVICE: Cell<Option<c_int>> = const { Cell::new(None) };
    /// What was logged on this thread since it is a host.
    static LINES: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// What was logged on other threads, by the descriptor of the path.
static ELSEWHERE: Mutex<Vec<(Option<c_int>, Line)>> = Mutex::new(Vec::new());

/// A line of the log, with its level.
pub(crate) type Line = (c_int, String);

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

/// Makes this thread the host of the path with this descriptor: what it logs is the host's or of the
/// plugin that it calls.
pub(crate) fn begin(fd: c_int) {
    PATH.set(Some(fd));
    LINES.take();
    take_elsewhere(fd);
}

/// The lines that were logged on this thread since the last call, with their levels.
pub(crate) fn take_lines() -> Vec<Line> {
    LINES.take()
}

/// The lines that other threads logged about the path with this descriptor.
pub(crate) fn take_elsewhere(fd: c_int) -> Vec<Line> {
    take_about(Some(fd))
}

/// The lines that other threads logged about no path that is known.
pub(crate) fn take_unassigned() -> Vec<Line> {
    take_about(None)
}

fn take_about(path: Option<c_int>) -> Vec<Line> {
    let mut all = ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner);
    let (mine, others) = all.drain(..).partition(|(about, _)| *about == path);
    *all = others;
    mine.into_iter().map(|(_, line): (_, Line)| line).collect()
}

/// Notes that this thread sends a command to the device with this descriptor.
pub(crate) fn sends_to(fd: c_int) {
    DEVICE.set(Some(fd));
}

/// Whether a line is one that a host logs about any path and any checker: its name, which is empty
/// here, and the state, or what becomes of a checker that is selected.
pub(crate) fn is_about_a_path(line: &str) -> bool {
    line.starts_with(": ") || line.starts_with("async_check_init: ")
}

/// Does something whose lines do not count.
pub(crate) fn silently<R>(what: impl FnOnce() -> R) -> R {
    let before = (PATH.replace(Some(-1)), LINES.take());
    let result = what();
    PATH.set(before.0);
    LINES.set(before.1);
    result
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
    let line = text.to_string_lossy();
    let line = match line.strip_suffix('\n') {
        Some(line) => (level, without_pointer(line)),
        None => (level, format!("{line} (no newline)")),
    };
    if PATH.get().is_some() {
        LINES.with_borrow_mut(|lines| lines.push(line));
    } else {
        let path = device::named_by(&line.1).or(DEVICE.get());
        let mut all = ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((path, line));
    }
}

/// The text without the address that 0.15's runners are named by.
fn without_pointer(line: &str) -> String {
    const RUNNER: &str = " runner 0x";
    let Some((before, after)) = line.split_once(RUNNER) else {
        return line.to_owned();
    };
    let after = after.trim_start_matches(|letter: char| letter.is_ascii_hexdigit());
    format!("{before} runner{after}")
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

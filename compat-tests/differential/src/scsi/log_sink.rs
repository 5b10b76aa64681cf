// SPDX-License-Identifier: LGPL-2.0-or-later

//! Log records of this process, by the path that they are about.

#![forbid(unsafe_code)]

use harness::host::line_of;
use harness::scsi::script;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int};
use std::os::fd::RawFd;
use std::sync::{Mutex, PoisonError};

thread_local! {
    /// The descriptor of the path that this thread is the host of.
    static PATH: Cell<Option<RawFd>> = const { Cell::new(None) };
    /// What was logged on this thread since it is a host.
    static LINES: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// What was logged on other threads, by the descriptor of the path.
static ELSEWHERE: Mutex<Vec<(Option<RawFd>, Line)>> = Mutex::new(Vec::new());

/// A line of the log, with its level.
pub(crate) type Line = (c_int, String);

/// Makes this thread the host of the path with this descriptor: what it logs is the host's or of the
/// plugin that it calls.
pub(crate) fn begin(fd: RawFd) {
    PATH.set(Some(fd));
    LINES.take();
    take_elsewhere(fd);
}

/// The lines that were logged on this thread since the last call, with their levels.
pub(crate) fn take_lines() -> Vec<Line> {
    LINES.take()
}

/// The lines that other threads logged about the path with this descriptor.
pub(crate) fn take_elsewhere(fd: RawFd) -> Vec<Line> {
    take_about(Some(fd))
}

/// The lines that other threads logged about no path that is known.
pub(crate) fn take_unassigned() -> Vec<Line> {
    take_about(None)
}

fn take_about(path: Option<RawFd>) -> Vec<Line> {
    let mut all = ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner);
    let (mine, others) = all.drain(..).partition(|(about, _)| *about == path);
    *all = others;
    mine.into_iter().map(|(_, line): (_, Line)| line).collect()
}

/// Whether a line is one that a host logs about any path and any checker: its name, which is empty
/// here, and the state, or what becomes of a checker that is selected.
pub(crate) fn is_about_a_path(line: &str) -> bool {
    line.starts_with(": ") || line.starts_with("async_check_init: ")
}

/// Does something whose lines are not compared.
pub(crate) fn silently<R>(what: impl FnOnce() -> R) -> R {
    let before = (PATH.replace(Some(-1)), LINES.take());
    let result = what();
    PATH.set(before.0);
    LINES.set(before.1);
    result
}

/// Takes a log record.
pub(crate) fn keep(level: c_int, text: &CStr) {
    let line = (level, without_pointer(&line_of(text)));
    if PATH.get().is_some() {
        LINES.with_borrow_mut(|lines| lines.push(line));
    } else {
        let path = script::named_by(&line.1).or(script::last_used());
        let mut all = ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((path, line));
    }
}

/// The text without the address by which 0.15 names a runner.
fn without_pointer(line: &str) -> String {
    const RUNNER: &str = " runner 0x";
    let Some((before, after)) = line.split_once(RUNNER) else {
        return line.to_owned();
    };
    let after = after.trim_start_matches(|letter: char| letter.is_ascii_hexdigit());
    format!("{before} runner{after}")
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! What a thread logs, kept for comparison.

#![forbid(unsafe_code)]

use log::{LevelFilter, Log, Metadata, Record};
use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    static LINES: RefCell<Vec<(i32, String)>> = const { RefCell::new(Vec::new()) };
}

struct Capture;

impl Log for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // The level as hosts number it: `Error` is 0.
        let line = (record.level() as i32 - 1, record.args().to_string());
        LINES.with_borrow_mut(|lines| lines.push(line));
    }

    fn flush(&self) {}
}

/// Returns what `work` logs on this thread, with levels.
///
/// # Panics
/// When the program has another logger.
pub fn captured(work: impl FnOnce()) -> Vec<(i32, String)> {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        assert!(log::set_logger(&Capture).is_ok(), "another logger");
        log::set_max_level(LevelFilter::Trace);
    });
    LINES.take();
    work();
    LINES.take()
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Standard output that may be closed early, as by `| head`.
#![forbid(unsafe_code)]

use std::fmt::Arguments;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether a line could not be written. Suites then finish what has begun, so that its devices are
/// removed, and start nothing more.
pub fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// Writes a line to standard output; [`say!`](crate::say) calls it.
pub fn line(text: Arguments<'_>) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        CLOSED.store(true, Ordering::Relaxed);
    }
}

/// `println!` that does not panic when standard output is closed.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {
        $crate::output::line(::std::format_args!($($text)*))
    };
}

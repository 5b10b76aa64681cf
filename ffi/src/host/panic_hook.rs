// SPDX-License-Identifier: LGPL-2.0-or-later

//! The message of a panic, with its place, on standard error.
//!
//! The standard library's own hook also prints a backtrace if the host's environment has
//! `RUST_BACKTRACE`, which takes more stack than a worker has. The checker's name is logged where the
//! panic is caught on a thread that may log.

#![forbid(unsafe_code)]

use kernel_fd::Stderr;
use std::fmt::Write;
use std::panic::PanicHookInfo;

/// Sets the hook of this plugin's own copy of the standard library; a hook of the program is not replaced.
pub(super) fn install() {
    std::panic::set_hook(Box::new(write_message));
}

fn write_message(info: &PanicHookInfo<'_>) {
    // Only the formatting of the panic's text could fail.
    let _ = writeln!(Stderr::new(), "path checker plugin: {info}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    #[test]
    fn a_worker_has_the_stack_for_a_panic() {
        const NAME: &str = "host::panic_hook::tests::a_worker_has_the_stack_for_a_panic";
        const INSIDE: &str = "CHECKERS_TEST_PANIC";
        if std::env::var_os(INSIDE).is_none() {
            // A stack overflow ends the process, so this runs in another one.
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", NAME, "--nocapture"])
                .env(INSIDE, "")
                .env("RUST_BACKTRACE", "full")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {said}", output.status);
            assert!(
                said.contains("path checker plugin: panicked at") && said.contains("panic_hook.rs")
            );
            assert!(said.contains("on purpose 7") && !said.contains("backtrace"));
            return;
        }
        static SURVIVED: AtomicBool = AtomicBool::new(false);
        install();
        super::super::threads::spawn(|| {
            let caught = std::panic::catch_unwind(|| panic!("on purpose {}", 3 + 4));
            SURVIVED.store(caught.is_err(), Ordering::SeqCst);
        })
        .unwrap();
        while !SURVIVED.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

//! What a panic says by itself: where it was, on standard error.
//!
//! The standard library's own hook also prints a backtrace if the host's environment has
//! `RUST_BACKTRACE`, and that takes more stack than a worker has. Which checker it was goes to the
//! host's log, from who gets to know of the panic on a thread that may log.

use kernel_fd::Stderr;
use std::fmt::Write;
use std::panic::PanicHookInfo;

/// Sets the hook of our own copy of the standard library; no hook of the program's is replaced.
pub(crate) fn install() {
    std::panic::set_hook(Box::new(tell));
}

fn tell(info: &PanicHookInfo<'_>) {
    // Only a text's own formatting could fail.
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
        const NAME: &str = "panics::tests::a_worker_has_the_stack_for_a_panic";
        const INSIDE: &str = "CHECKERS_TEST_PANIC";
        if std::env::var_os(INSIDE).is_none() {
            // An overflow ends the process, so another one takes the risk.
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", NAME, "--nocapture"])
                .env(INSIDE, "")
                .env("RUST_BACKTRACE", "full")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {said}", output.status);
            assert!(
                said.contains("path checker plugin: panicked at") && said.contains("panics.rs")
            );
            assert!(said.contains("on purpose 7") && !said.contains("backtrace"));
            return;
        }
        static SURVIVED: AtomicBool = AtomicBool::new(false);
        install();
        crate::threads::spawn(|| {
            let caught = std::panic::catch_unwind(|| panic!("on purpose {}", 3 + 4));
            SURVIVED.store(caught.is_err(), Ordering::SeqCst);
        })
        .unwrap();
        while !SURVIVED.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

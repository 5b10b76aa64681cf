//! A host as multipath-tools 0.11.0 to 0.13.x are.

use compat_tests::layout::Era;
use std::process::ExitCode;

compat_tests::export_basics!();
bench::export_machine!();
bench::export_thread_helper!();
compat_tests::export_markers!(checker_need_wait);

fn main() -> ExitCode {
    libmp_verbosity.store(2, std::sync::atomic::Ordering::Relaxed);
    bench::serve::main(Era::C)
}

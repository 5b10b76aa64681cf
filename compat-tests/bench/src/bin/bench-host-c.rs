//! A host as multipath-tools 0.11.0 to 0.13.x are.

use harness::abi::Abi;
use std::process::ExitCode;

harness::export_basics!();
bench::export_machine!();
bench::export_thread_helper!();
harness::export_markers!(checker_need_wait);

fn main() -> ExitCode {
    libmp_verbosity.store(2, std::sync::atomic::Ordering::Relaxed);
    bench::host::main(Abi::V0_11)
}

//! A host as multipath-tools 0.8.6 to 0.10.x are.

use harness::abi::Abi;
use std::process::ExitCode;

harness::export_basics!();
bench::export_machine!();
bench::export_thread_helper!();

fn main() -> ExitCode {
    libmp_verbosity.store(2, std::sync::atomic::Ordering::Relaxed);
    bench::host::main(Abi::V0_7_9)
}

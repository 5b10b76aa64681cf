//! A host as multipath-tools 0.15.0 is.

use harness::abi::Abi;
use std::process::ExitCode;

harness::export_basics!();
bench::export_machine!();
harness::export_markers!(checker_need_wait, mt_udev_ref, get_runner, check_runner);

fn main() -> ExitCode {
    libmp_verbosity.store(2, std::sync::atomic::Ordering::Relaxed);
    bench::host::main(Abi::V0_15)
}

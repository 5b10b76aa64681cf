//! A host as multipath-tools 0.14.x is: exports what its libmultipath exports.

use harness::abi::Abi;
use std::process::ExitCode;

harness::export_basics!();
harness::export_markers!(start_checker_thread, checker_need_wait, mt_udev_ref);

fn main() -> ExitCode {
    harness::host::use_verbosity(&libmp_verbosity);
    differential::directio::play::main(Abi::V0_14)
}

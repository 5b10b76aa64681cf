//! A host as multipath-tools 0.15.0 is: exports what its libmultipath exports.

use harness::abi::Abi;
use std::process::ExitCode;

harness::export_basics!();
harness::export_markers!(checker_need_wait, mt_udev_ref, get_runner, check_runner);

fn main() -> ExitCode {
    harness::host::use_verbosity(&libmp_verbosity);
    differential::directio::play::main(Abi::V0_15)
}

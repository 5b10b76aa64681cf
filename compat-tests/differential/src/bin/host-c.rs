//! A host as multipath-tools 0.11.0 to 0.13.x are: exports what their libmultipath exports.

use harness::abi::Abi;
use std::process::ExitCode;

harness::export_basics!();
harness::export_markers!(start_checker_thread, checker_need_wait);

fn main() -> ExitCode {
    harness::host::use_verbosity(&libmp_verbosity);
    differential::directio::play::main(Abi::V0_11)
}

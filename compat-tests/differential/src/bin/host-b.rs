//! A host as multipath-tools 0.8.6 to 0.10.x are: exports what their libmultipath exports.

use harness::abi::Abi;
use std::process::ExitCode;

harness::export_basics!();
harness::export_markers!(start_checker_thread);

fn main() -> ExitCode {
    harness::host::use_verbosity(&libmp_verbosity);
    differential::directio::play::main(Abi::V0_7_9)
}

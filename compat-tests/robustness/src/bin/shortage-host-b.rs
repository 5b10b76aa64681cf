//! A host as multipath-tools 0.8.6 to 0.10.x is, to which things are refused.

use harness::abi::Abi;
use std::process::ExitCode;

robustness::export_shortage!(start_checker_thread);

fn main() -> ExitCode {
    robustness::shortage::host::main(Abi::V0_7_9)
}

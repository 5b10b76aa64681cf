//! A host as multipath-tools 0.8.6 to 0.10.x is, to which things are refused.

use harness::abi::Abi;
use std::process::ExitCode;

robustness::export_shortage!(start_checker_thread);

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("scenes") {
        return robustness::scenes::main(Abi::V0_7_9);
    }
    robustness::refusals::main(Abi::V0_7_9)
}

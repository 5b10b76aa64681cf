//! A host as multipath-tools 0.11.0 to 0.13.x is, to which things are refused.

use harness::abi::Abi;
use std::process::ExitCode;

robustness::export_shortage!(start_checker_thread, checker_need_wait);

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("scenes") {
        return robustness::scenes::main(Abi::V0_11);
    }
    robustness::refusals::main(Abi::V0_11)
}

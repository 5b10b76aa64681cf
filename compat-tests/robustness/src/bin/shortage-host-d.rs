//! A host as multipath-tools 0.15.0 is, to which things are refused.

use harness::abi::Abi;
use std::process::ExitCode;

robustness::export_shortage!(checker_need_wait, mt_udev_ref, get_runner, check_runner);

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("scenes") {
        return robustness::scenes::main(Abi::V0_15);
    }
    robustness::refusals::main(Abi::V0_15)
}

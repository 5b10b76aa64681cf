//! A host that exports nothing of libmultipath.

use std::process::ExitCode;

bench::export_devices!();

fn main() -> ExitCode {
    robustness::races::main()
}

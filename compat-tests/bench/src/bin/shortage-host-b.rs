//! A host as multipath-tools 0.8.6 to 0.10.x is, to which things are refused.

use compat_tests::layout::Era;
use std::process::ExitCode;

bench::export_shortage!(start_checker_thread);

fn main() -> ExitCode {
    bench::shortage::host::main(Era::B)
}

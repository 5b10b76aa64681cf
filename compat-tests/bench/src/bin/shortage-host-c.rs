//! A host as multipath-tools 0.11.0 to 0.13.x is, to which things are refused.

use compat_tests::layout::Era;
use std::process::ExitCode;

bench::export_shortage!(start_checker_thread, checker_need_wait);

fn main() -> ExitCode {
    bench::shortage::host::main(Era::C)
}

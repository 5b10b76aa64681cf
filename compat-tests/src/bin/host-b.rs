//! A host as multipath-tools 0.8.6 to 0.10.x are: exports what their libmultipath exports.

use compat_tests::layout::Era;
use std::process::ExitCode;

compat_tests::export_basics!();
compat_tests::export_markers!(start_checker_thread);

fn main() -> ExitCode {
    compat_tests::host::use_verbosity(&libmp_verbosity);
    compat_tests::play::main(Era::B)
}

//! A host as multipath-tools 0.15.0 is: exports what its libmultipath exports.

use compat_tests::layout::Era;
use std::process::ExitCode;

compat_tests::export_basics!();
compat_tests::export_markers!(checker_need_wait, mt_udev_ref, get_runner, check_runner);

fn main() -> ExitCode {
    compat_tests::host::use_verbosity(&libmp_verbosity);
    compat_tests::play::main(Era::D)
}

//! A host as multipath-tools 0.14.x is: exports what its libmultipath exports.

use compat_tests::layout::Era;
use std::process::ExitCode;

compat_tests::export_basics!();
compat_tests::export_markers!(start_checker_thread, checker_need_wait, mt_udev_ref);

fn main() -> ExitCode {
    compat_tests::host::use_verbosity(&libmp_verbosity);
    compat_tests::play::main(Era::CPrime)
}

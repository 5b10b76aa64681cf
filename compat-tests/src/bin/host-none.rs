//! A host without libmultipath: exports nothing.

use compat_tests::layout::Era;
use std::process::ExitCode;

fn main() -> ExitCode {
    compat_tests::play::main(Era::B)
}

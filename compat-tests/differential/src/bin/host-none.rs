//! A host without libmultipath: exports nothing.

use harness::layout::Era;
use std::process::ExitCode;

fn main() -> ExitCode {
    differential::directio::play::main(Era::B)
}

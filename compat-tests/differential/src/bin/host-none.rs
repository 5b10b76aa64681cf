//! A host without libmultipath: exports nothing.

use harness::abi::Abi;
use std::process::ExitCode;

fn main() -> ExitCode {
    differential::directio::play::main(Abi::V0_7_9)
}

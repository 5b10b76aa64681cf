//! Compares this project's SCSI checkers with upstream's.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    differential::scsi::main()
}

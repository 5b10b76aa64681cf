// SPDX-License-Identifier: LGPL-2.0-or-later

//! Compares this project's SCSI checkers with upstream's.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    differential::scsi::main()
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! A host with what libmultipath of 0.8.6 to 0.10.x exports.

use std::process::ExitCode;

harness::export_libmultipath!();
harness::export_start_checker_thread!();
harness::export_interposed!();

fn main() -> ExitCode {
    harness::host::use_verbosity(&libmp_verbosity);
    hosts::main(harness::process::HostKind::V0_8_6)
}

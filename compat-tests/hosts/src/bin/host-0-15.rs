// SPDX-License-Identifier: LGPL-2.0-or-later

//! A host with what libmultipath of 0.15.0 exports.

use std::process::ExitCode;

harness::export_libmultipath!();
harness::export_forwarded!(checker_need_wait, mt_udev_ref, get_runner, check_runner);
harness::export_interposed!();

fn main() -> ExitCode {
    harness::host::use_verbosity(&libmp_verbosity);
    hosts::main(harness::process::HostKind::V0_15)
}

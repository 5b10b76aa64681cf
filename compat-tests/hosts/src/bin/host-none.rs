// SPDX-License-Identifier: LGPL-2.0-or-later

//! A host that exports nothing of libmultipath.

use std::process::ExitCode;

harness::export_devices!();

fn main() -> ExitCode {
    hosts::main(harness::process::HostKind::WithoutLibmultipath)
}

//! A host that exports nothing of libmultipath.

use std::process::ExitCode;

harness::export_devices!();

fn main() -> ExitCode {
    hosts::main(harness::process::HostKind::WithoutLibmultipath)
}

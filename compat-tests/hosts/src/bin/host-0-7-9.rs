// SPDX-License-Identifier: LGPL-2.0-or-later

//! A host with what 0.7.9 to 0.8.5 export: `dlog` takes the sink first and filters by itself.

use harness::host::LOGSINK;
use std::ffi::{c_char, c_int, c_void};
use std::process::ExitCode;
use std::sync::atomic::AtomicI32;

#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static logsink: AtomicI32 = AtomicI32::new(LOGSINK);

harness::export_functions! {
    fn checker_is_sync(checker: *const c_void) -> c_int = harness::host::checker_is_sync;
    fn dlog(sink: c_int, level: c_int, format: *const c_char, a: usize, b: usize, c: usize) -> ()
        = harness::host::old_dlog;
}
harness::export_forwarded!(checker_check);
harness::export_interposed!();

fn main() -> ExitCode {
    hosts::main(harness::process::HostKind::V0_7_9)
}

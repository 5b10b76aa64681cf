//! A host as multipath-tools 0.7.9 to 0.8.5 are: `dlog` takes the sink first and filters by itself.

use harness::abi::Abi;
use std::ffi::{c_char, c_int, c_void};
use std::process::ExitCode;

/// The sink of log lines; plugins pass its value to `dlog`.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static logsink: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(SINK);

const SINK: c_int = -1;

#[unsafe(no_mangle)]
unsafe extern "C" fn checker_is_sync(checker: *const c_void) -> c_int {
    // SAFETY: plugins pass the struct checker that they were given.
    unsafe { harness::host::checker_is_sync(checker) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dlog(
    sink: c_int,
    level: c_int,
    format: *const c_char,
    a: usize,
    b: usize,
    c: usize,
) {
    if sink != SINK {
        harness::host::unexpected_call("dlog without the value of logsink");
        return;
    }
    // SAFETY: plugins pass a format string and what it needs.
    unsafe { harness::host::log(level, format, [a, b, c, 0]) }
}

harness::export_markers!(checker_check);

fn main() -> ExitCode {
    differential::directio::play::main(Abi::V0_7_9)
}

//! The comparison in a host of multipath-tools 0.7.9 to 0.14.x, whose libmultipath starts threads for
//! plugins.

use std::ffi::{c_int, c_void};
use std::process::ExitCode;

differential::export_scsi_host!();

/// What the C tur checker calls for a thread of its own.
#[unsafe(no_mangle)]
unsafe extern "C" fn start_checker_thread(
    thread: *mut c_void,
    attributes: *const c_void,
    context: *mut c_void,
) -> c_int {
    // SAFETY: the caller's promises are passed on.
    unsafe { differential::scsi::exports::start_checker_thread(thread, attributes, context) }
}

fn main() -> ExitCode {
    differential::scsi::main(differential::scsi::UP_TO_0_14)
}

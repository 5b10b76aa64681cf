//! The comparison in a host of multipath-tools 0.15.0 and later, whose libmultipath starts no threads
//! for plugins: a plugin tells the host by that, among other things.

use std::ffi::{c_char, c_int, c_void};
use std::process::ExitCode;

differential::export_scsi_host!();

/// By which libmultipath sees whether there is a plugin.
#[unsafe(no_mangle)]
unsafe extern "C" fn stat64(name: *const c_char, stat: *mut c_void) -> c_int {
    // SAFETY: the caller's promises are passed on.
    unsafe { differential::scsi::exports::stat64(name, stat) }
}

/// By which it loads one.
#[unsafe(no_mangle)]
unsafe extern "C" fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void {
    // SAFETY: the caller's promises are passed on.
    unsafe { differential::scsi::exports::dlopen(name, flags) }
}

fn main() -> ExitCode {
    differential::scsi::main(differential::scsi::FROM_0_15)
}

//! The comparison in a host of multipath-tools 0.15.0 and later, whose libmultipath starts no threads
//! for plugins: a plugin tells the host by that, among other things.

use std::process::ExitCode;

compat_scsi::export_host!();

fn main() -> ExitCode {
    compat_scsi::main(compat_scsi::FROM_0_15)
}

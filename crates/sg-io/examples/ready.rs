// SPDX-License-Identifier: LGPL-2.0-or-later

//! Is a SCSI device ready? Sends TEST UNIT READY and INQUIRY and prints the replies.
//!
//! ```text
//! cargo run --example ready -- /dev/sda
//! ```

#![forbid(unsafe_code)]

use sg_io::{Cdb, Data, Device, Kernel, Millis};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        eprintln!("usage: ready DEVICE");
        return ExitCode::from(2);
    };
    let file = match File::open(&name) {
        Ok(file) => file,
        Err(error) => {
            eprintln!("{name}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let never = || false;
    let mut device = Device::new(&Kernel, file.as_raw_fd(), Millis(5000), &never);
    let mut page = [0; 255];
    let mut ready = false;
    for (cdb, data) in [
        (Cdb::TEST_UNIT_READY, Data::None),
        (Cdb::inquiry_page(0x80, 255), Data::In(&mut page)),
    ] {
        // The outer error would be a cancelled check.
        let Ok(result) = device.send(cdb, data) else {
            break;
        };
        if cdb == Cdb::TEST_UNIT_READY {
            ready = result.is_ok_and(|reply| !reply.needs_check());
        }
        if let Some(last) = device.last() {
            println!("{last}");
        }
    }
    ExitCode::from(u8::from(!ready))
}

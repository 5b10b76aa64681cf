// SPDX-License-Identifier: LGPL-2.0-or-later

//! cciss_tur: the number of the logical volume, then TEST UNIT READY to it.

#![forbid(unsafe_code)]

use crate::reply::{errno, good};
use crate::table::{Case, Check, Expect, Expected, Hosts, Table, table};
use crate::verdict::Verdict;

const UP: Verdict = Verdict::UP;
const DOWN: Verdict = Verdict::DOWN;

pub(crate) fn cases() -> Vec<Case> {
    let mut t = Table::new([]);
    // The number has 30 bits.
    for volume in [
        0,
        1,
        7,
        0x3fff_ffff,
        0x4000_0000,
        0x4000_0001,
        0x8000_0001,
        u32::MAX,
    ] {
        let name = format!("volume {volume:08x}");
        table! { t; &name, [good().volume(volume), good()] => UP; }
    }
    // ENOTTY is no exception: there is no verdict for a device of another kind.
    for (number, text) in [
        (libc::ENOTTY, "Inappropriate ioctl for device"),
        (libc::EINTR, "Interrupted system call"),
        (libc::EIO, "Input/output error"),
        (libc::EBADF, "Bad file descriptor"),
        (libc::ENODEV, "No such device"),
        (libc::ENXIO, "No such device or address"),
        (libc::EINVAL, "Invalid argument"),
        (libc::EAGAIN, "Resource temporarily unavailable"),
    ] {
        let no_volume = format!("Error: : {text}\ncciss TUR  failed in CCISS_GETLUNINFO: {text}\n");
        let not_sent = format!("cciss TUR  failed: {text}\n");
        table! { t;
            &format!("no volume, errno {number}"), [errno(number)] => DOWN.log(0, no_volume);
            &format!("not sent, errno {number}"), [good(), errno(number)] => DOWN.log(0, not_sent);
        }
    }
    // SCSI status and the controller's.
    for (status, command_status) in [
        (2, 0),
        (0, 1),
        (0x80, 0),
        (0, 0x100),
        (8, 0xb),
        (0x80, 0x8000),
    ] {
        let answer = good().status(status).command_status(command_status);
        let name = format!("status {status:02x}, command status {command_status:04x}");
        table! { t; &name, [good(), answer] => DOWN; }
    }
    // 0.15's libmultipath does not call the plugin then.
    let checks = vec![(Check::from([]), Verdict::NO_FD.ledger("C2"))];
    let nowhere = t.case("no descriptor", checks);
    (nowhere.input.fd, nowhere.hosts) = (Some(-1), Hosts::Before0_15);
    t.cases
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! hp_sw: INQUIRY for the serial number, then TEST UNIT READY.

#![forbid(unsafe_code)]

use crate::reply::{ERRNOS, errno, good, host, sense, statuses};
use crate::table::{Case, Check, Command, Expected, Table, table};
use crate::verdict::Verdict;

const UP: Verdict = Verdict::UP;
const DOWN: Verdict = Verdict::DOWN;
const GHOST: Verdict = Verdict::GHOST;
const UNSUPPORTED: Verdict = Verdict::UNSUPPORTED;

pub(crate) fn cases() -> Vec<Case> {
    let inquiry = Command::inquiry(0x80, 255);
    let mut t = Table::new([inquiry, Command::test_unit_ready()]);

    for (name, number) in ERRNOS {
        table! { t; name, [errno(number)] => DOWN; }
    }
    table! { t;
        "no SG_IO", [errno(libc::ENOTTY)]           => UNSUPPORTED;

        // INQUIRY succeeds: neither the summary nor reserved bits of the status count, nor sense data.
        "good", [good(), good()]                                    => UP;
        "clear 00", [statuses(0, 0, 0), good()]                     => UP;
        "clear 00, key 5", [statuses(0, 0, 0).fixed(5, 0, 0), good()] => UP;
        "clear 01", [statuses(1, 0, 0), good()]                     => UP;
        "clear 80", [statuses(0x80, 0, 0), good()]                  => UP;
        "clear 81", [statuses(0x81, 0, 0), good()]                  => UP;

        // TEST UNIT READY: only the summary counts.
        "TUR, no SG_IO", [good(), errno(libc::ENOTTY)]              => GHOST;
        "TUR, EIO", [good(), errno(libc::EIO)]                      => GHOST;
        "TUR, host 01", [good(), host(1)]                           => GHOST;
        "TUR, sense 6/29/00", [good(), sense(6, 0x29, 0)]           => GHOST;
        "TUR, sense 2/04/0b", [good(), sense(2, 0x04, 0x0b)]        => GHOST;
        "TUR, summary alone", [good(), statuses(0, 0, 0)]           => GHOST;
        "TUR, no summary", [good(), statuses(2, 0, 0).info(0)]      => UP;
        "sense 5/24/00, descriptor format", [statuses(2, 0, 8).descriptor(5, 0x24, 0)] => UNSUPPORTED;
    }

    // Statuses that announce sense data, of which the key counts.
    for (status, driver) in [(2, 0), (0x22, 0), (0x83, 0), (0, 8), (8, 0x28)] {
        for (form, answer, key) in statuses(status, 0, driver).sense_forms() {
            let name = format!("status {status:02x}, driver {driver:02x}, {form}");
            let (answers, verdict) = match key {
                Some(1) => (vec![answer, good()], UP),
                Some(5) => (vec![answer], UNSUPPORTED),
                _ => (vec![answer], DOWN),
            };
            table! { t; &name, answers => verdict; }
        }
    }
    // Statuses that do not.
    for (status, host, driver) in [(8, 0, 0), (0x18, 0, 0), (0, 7, 0), (0, 0, 6), (4, 0, 9)] {
        for key in [1, 5, 6] {
            let name =
                format!("status {status:02x}, host {host:02x}, driver {driver:02x}, key {key}");
            table! { t; &name, [statuses(status, host, driver).fixed(key, 0, 0)] => DOWN; }
        }
    }
    t.cases
}

//! hp_sw: INQUIRY for the serial number, then TEST UNIT READY.

#![forbid(unsafe_code)]

use crate::reply::ERRNOS;
use crate::table::{Table, table};
use crate::{Case, Check, Command, Expected, Verdict, errno, good, host, sense, statuses};

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
        let reply = statuses(status, 0, driver);
        let name = |what: &str| format!("status {status:02x}, driver {driver:02x}, {what}");
        let key = |key| reply.clone().fixed(key, 0, 0);
        let descriptor = reply.clone().descriptor(5, 0, 0).sense_length(3);
        table! { t;
            &name("key 1"), [key(1), good()]                => UP;
            &name("key 5"), [key(5)]                        => UNSUPPORTED;
            &name("key 5, descriptor format"), [descriptor] => UNSUPPORTED;
            &name("key 5, 2 bytes"), [key(5).sense_length(2)] => DOWN;
            &name("no sense data"), [reply.clone()]         => DOWN;
        }
        for other in [0, 2, 3, 4, 6, 0xb] {
            table! { t; &name(&format!("key {other:x}")), [key(other)] => DOWN; }
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

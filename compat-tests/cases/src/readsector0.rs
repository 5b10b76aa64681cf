// SPDX-License-Identifier: LGPL-2.0-or-later

//! readsector0: READ(10) of the first blocks.

#![forbid(unsafe_code)]

use crate::reply::{ERRNOS, descriptor_sense, errno, good, host, sense, statuses, times};
use crate::table::{Case, Check, Command, Expect, Expected, Table, table};
use crate::verdict::Verdict;

const UP: Verdict = Verdict::UP;
const DOWN: Verdict = Verdict::DOWN;

pub(crate) fn cases() -> Vec<Case> {
    let mut t = Table::new([Command::read(8, 4096)]);
    let attention = || sense(6, 0x29, 0);
    let interrupted = || errno(libc::EINTR);

    // The first two are no failures here.
    for (name, number) in &ERRNOS[2..] {
        table! { t; name, [errno(*number)] => DOWN; }
    }
    table! { t;
        "good", [good()]                                             => UP;
        // Not the path's fault.
        "no memory", [errno(libc::ENOMEM)]                           => UP;
        "interrupted once", [interrupted(), good()]                  => UP;
        "interrupted", [times(20, &interrupted()), vec![good()]].concat() => UP;
        // A device that knows no SG_IO is down here, not unsupported.
        "no SG_IO", [errno(libc::ENOTTY)]                            => DOWN;

        // Each status must be zero, reserved bits included. The kernel's SG_INFO_CHECK does not count.
        "summary alone", [statuses(0, 0, 0)]                         => UP;
        "status 01", [statuses(1, 0, 0)]                             => DOWN;
        "status 81", [statuses(0x81, 0, 0)]                          => DOWN;
        "status 80", [statuses(0x80, 0, 0)]                          => DOWN;
        "status 08", [statuses(8, 0, 0)]                             => DOWN;
        "status 18", [statuses(0x18, 0, 0)]                          => DOWN;
        "host 07", [host(7)]                                         => DOWN;
        "driver 10", [statuses(0, 0, 0x10)]                          => DOWN;
        "sense 5/25/00", [sense(5, 0x25, 0)]                         => DOWN;

        // Three attempts under unit attention.
        "unit attention, twice", [attention(), attention(), good()]  => UP;
        "unit attention", times(3, &attention())                     => DOWN;
        "unit attention, descriptor format", times(3, &descriptor_sense(6, 0x29, 0)) => DOWN;
        "unit attention, 13 bytes", [attention().sense_length(13)]   => DOWN;
    }

    // As many blocks of the size that the node prefers as fit into 4096 bytes.
    for (preferred, blocks, length) in [
        (1, 4096, 4096),
        (512, 8, 4096),
        (513, 7, 3591),
        (3000, 1, 3000),
        (4096, 1, 4096),
        (4097, 1, 4096),
        (65536, 1, 4096),
        (1 << 40, 1, 4096),
    ] {
        let up = UP.commands([Command::read(blocks, length)]);
        let checks = vec![(Check::from([good()]), up)];
        let name = format!("preferred {preferred}");
        t.case(&name, checks).input.preferred = preferred;
    }
    let checks = vec![(Check::from([]), DOWN.ledger("S1"))];
    let none = t.case("preferred 0", checks);
    (none.input.preferred, none.upstream_dies) = (0, true);
    t.cases
}

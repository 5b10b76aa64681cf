// SPDX-License-Identifier: LGPL-2.0-or-later

//! emc_clariion: INQUIRY for page C0h, and a read where the page says that the path is active.

#![forbid(unsafe_code)]

use crate::reply::{Answer, ERRNOS, descriptor_sense, errno, good, host, sense, statuses, times};
use crate::table::{Case, Check, Command, Expect, Expected, Hosts, Map, Table, table};
use crate::verdict::{State, Verdict};

pub(crate) const MESSAGES: &[&str] = &[
    ": sending query command failed",
    ": query command indicates error",
    ": Path not correctly configured for failover",
    ": Path unit report page in unknown format",
    ": Path not available for normal operations",
    ": Logical Unit is unbound or LUNZ",
    ": Logical Unit WWN has changed",
    ": Read error",
    ": Active path is healthy",
    " still running",
    " timed out",
    " failed to initialize",
];

const UNSUPPORTED: Verdict = Verdict::UNSUPPORTED;
const QUERY_FAILED: Verdict = Verdict::own(State::Down, 0);
const QUERY_ERROR: Verdict = Verdict::own(State::Down, 1);
const MISCONFIGURED: Verdict = Verdict::own(State::Down, 2);
const UNKNOWN_FORMAT: Verdict = Verdict::own(State::Down, 3);
const NOT_AVAILABLE: Verdict = Verdict::own(State::Shaky, 4);
const UNBOUND: Verdict = Verdict::own(State::Down, 5);
const WWN_CHANGED: Verdict = Verdict::own(State::Down, 6);
const READ_ERROR: Verdict = Verdict::own(State::Down, 7);
const HEALTHY: Verdict = Verdict::own(State::Up, 8);
const SNAPSHOT: Verdict = Verdict::silent(State::Down);

const WWN: [u8; 16] = [
    0x60, 0x06, 0x01, 0x60, 0xff, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xa0,
];
const WWN_TEXT: &str = "60060160ff00010203040506070809a0";

/// A passive path without a fault, its page changed at these offsets.
fn page(bytes: &[(usize, u8)]) -> Vec<u8> {
    let mut page = vec![0; 128];
    page[10..26].copy_from_slice(&WWN);
    for (at, value) in [(1, 0xc0), (4, 1), (27, 3), (28, 4), (30, 4)]
        .iter()
        .chain(bytes)
    {
        page[*at] = *value;
    }
    page
}

/// A passive path.
fn passive() -> Answer {
    good().data(page(&[]))
}

/// emc_clariion's page of a path to the storage processor that owns the unit.
pub fn active_path() -> Answer {
    good().data(page(&[(4, 2)]))
}

/// The answer of an inactive snapshot to a read.
fn refused() -> Answer {
    sense(5, 0x25, 1)
}

fn active_to_snapshot() -> Expected {
    let line = format!("emc_clariion_checker: Active path to inactive snapshot WWN {WWN_TEXT}.");
    SNAPSHOT.log(3, line).map(1)
}

fn passive_to_snapshot() -> Expected {
    let line = format!("emc_clariion_checker: Passive path to inactive snapshot WWN {WWN_TEXT}.");
    SNAPSHOT.log(3, line)
}

fn read_error(key: u8, asc: u8, ascq: u8) -> Expected {
    let line = format!(
        "emc_clariion_checker: Read error for WWN {WWN_TEXT}.  Sense data are \
         {key:#x}/{asc:#x}/{ascq:#x}."
    );
    READ_ERROR.log(3, line)
}

fn failed_with_sense(key: u8) -> Expected {
    QUERY_ERROR.log(
        1,
        format!("emc_clariion_checker: INQUIRY failed with sense key {key:02x}"),
    )
}

fn failed_without_sense(status: u8) -> Expected {
    let what = "emc_clariion_checker: INQUIRY failed without sense";
    QUERY_ERROR.log(1, format!("{what}, status {status:02x}"))
}

pub(crate) fn cases() -> Vec<Case> {
    let mut t = Table::new([]);
    failures(&mut t);
    pages(&mut t);
    names(&mut t);
    reads(&mut t);
    maps(&mut t);
    t.cases
}

fn failures(t: &mut Table) {
    for (name, number) in ERRNOS {
        table! { t; name, [errno(number)] => QUERY_FAILED; }
    }
    table! { t;
        "no SG_IO", [errno(libc::ENOTTY)]           => UNSUPPORTED;

        "host 2, 7, b, e, then good",
            [host(2), host(7), host(0xb), host(0xe), passive()]     => HEALTHY;
        // What an attempt leaves in the page is wiped before the next.
        "a page, then none", [host(7).data(page(&[])), good()]      => UNKNOWN_FORMAT;
    }
    for status in 1..=0x20 {
        let name = format!("host {status:02x}");
        if [2, 7, 0xb, 0xe].contains(&status) {
            let good = [times(4, &host(status)), vec![passive()]].concat();
            table! { t;
                &name, times(5, &host(status))                      => failed_without_sense(0);
                &format!("{name}, then good"), good                 => HEALTHY;
            }
        } else {
            table! { t; &name, [host(status)] => failed_without_sense(0); }
        }
    }
    // Statuses that announce sense data, of which the key counts. A recovered error is caught by the
    // kernel's SG_INFO_CHECK.
    for (status, driver) in [(2, 0), (0x22, 0), (0, 8), (8, 0x28)] {
        let reply = statuses(status, 0, driver).data(page(&[]));
        for (form, answer, key) in reply.sense_forms() {
            let expected = match key {
                Some(5) => UNSUPPORTED.into(),
                Some(1) | None => failed_without_sense(status),
                Some(key) => failed_with_sense(key),
            };
            let name = format!("status {status:02x}, driver {driver:02x}, {form}");
            table! { t; &name, [answer] => expected; }
        }
    }
    // Reserved bits hide the status, and with it the sense data.
    for status in [0x03, 0x82, 0xa2, 0x08, 0x18] {
        let answer = statuses(status, 0, 0).data(page(&[])).fixed(5, 0, 0);
        let name = format!("status {status:02x}, key 5");
        table! { t; &name, [answer] => failed_without_sense(status); }
    }
    // Without the kernel's SG_INFO_CHECK the page counts.
    for (status, host, driver, key) in [
        (2, 0, 8, 1),
        (2, 7, 0, 1),
        (0, 7, 8, 1),
        (8, 7, 0, 5),
        (0, 7, 6, 5),
    ] {
        let reply = statuses(status, host, driver).info(0);
        let name = format!("no summary: {status:02x}, {host:02x}, {driver:02x}, key {key}");
        table! { t; &name, [reply.fixed(key, 0, 0).data(page(&[]))] => HEALTHY; }
    }
}

fn pages(t: &mut Table) {
    for (bytes, verdict) in [
        (&[][..], HEALTHY),
        // Page code and revision.
        (&[(1, 0xc1)], UNKNOWN_FORMAT),
        (&[(1, 0x00)], UNKNOWN_FORMAT),
        (&[(9, 1)], UNKNOWN_FORMAT),
        (&[(9, 1), (27, 0)], UNKNOWN_FORMAT),
        (&[(9, 1), (27, 0), (48, 1), (4, 0)], UNKNOWN_FORMAT),
        // Failover mode and array type.
        (&[(27, 0x02)], MISCONFIGURED),
        (&[(27, 0x83)], MISCONFIGURED),
        (&[(28, 0x00)], MISCONFIGURED),
        (&[(28, 0x02)], MISCONFIGURED),
        (&[(28, 0x05)], MISCONFIGURED),
        (&[(28, 0x07)], MISCONFIGURED),
        (&[(28, 0x06)], HEALTHY),
        (&[(28, 0xfc)], HEALTHY),
        (&[(30, 0xfb)], MISCONFIGURED),
        (&[(30, 0xfb), (48, 1)], MISCONFIGURED),
        (&[(30, 0x00), (48, 1), (4, 0)], MISCONFIGURED),
        (&[(30, 0xff)], HEALTHY),
        // A storage processor that is not available.
        (&[(48, 0x01)], NOT_AVAILABLE),
        (&[(48, 0x01), (4, 0)], NOT_AVAILABLE),
        (&[(48, 0xff), (4, 0)], NOT_AVAILABLE),
        // Role.
        (&[(4, 0)], UNBOUND),
        (&[(4, 3)], HEALTHY),
        (&[(4, 0xff)], HEALTHY),
        // Bytes that do not count.
        (&[(0, 0xff), (2, 0xff), (47, 0xff), (49, 0xff)], HEALTHY),
    ] {
        let name = format!("page {bytes:02x?}");
        table! { t; &name, [good().data(page(bytes))] => verdict; }
    }
}

/// A unit must keep its name.
fn names(t: &mut Table) {
    let renamed = |at| good().data(page(&[(at, 0x77)]));
    let zeros = || {
        let mut page = page(&[]);
        page[10..26].fill(0);
        good().data(page)
    };
    let not_available = || good().data(page(&[(48, 1)]));
    let read_failed = || [active_path(), errno(libc::EIO)];
    table! { t;
        "the same name", [passive()] => HEALTHY, [passive()] => HEALTHY;
        "another name, and back",
            [passive()] => HEALTHY, [renamed(25)] => WWN_CHANGED, [passive()] => HEALTHY;
        "another first byte", [passive()] => HEALTHY, [renamed(10)] => WWN_CHANGED;
        "a byte behind the name", [passive()] => HEALTHY, [renamed(26)] => HEALTHY;
        "a name of zeros", [zeros()] => HEALTHY, [passive()] => WWN_CHANGED;
        // A name is remembered from a page without a fault, whatever the read says, and from no other.
        "a name from a failing path",
            read_failed() => read_error(0, 0, 0), [renamed(10)] => WWN_CHANGED;
        "no name from a path that is not available",
            [not_available()] => NOT_AVAILABLE, [renamed(10)] => HEALTHY;
    }
}

/// An active path must read. What it finds out goes to the map.
fn reads(t: &mut Table) {
    let first = t.cases.len();
    let reads = |reads: &[Answer]| [&[active_path()], reads].concat();
    let attention = || sense(6, 0x29, 0);
    let healthy = || HEALTHY.map(0);
    let snapshot = || active_to_snapshot().ledger("E7");
    let failed = read_error;
    // The read's sense data is taken for fixed format whatever its response code and length.
    let odd = |length| {
        sense(0xf5, 0x25, 1)
            .response_code(0x72)
            .sense_length(length)
    };
    let descriptor = || descriptor_sense(5, 0x25, 1);
    table! { t;
        "active, good", reads(&[good()])                            => healthy();
        "active, no memory", reads(&[errno(libc::ENOMEM)])          => healthy();
        "active, snapshot", reads(&[refused()])                     => snapshot();
        "active, unit attention, snapshot", reads(&[attention(), refused()]) => snapshot();
        "active, odd sense data, 0 bytes", reads(&[odd(0)])         => snapshot();
        "active, odd sense data, 3 bytes", reads(&[odd(3)])         => snapshot();
        "active, odd sense data, 18 bytes", reads(&[odd(18)])       => snapshot();
        "active, sense 5/25/00", reads(&[sense(5, 0x25, 0)])        => failed(5, 0x25, 0);
        "active, sense 2/04/03", reads(&[sense(2, 0x04, 3)])        => failed(2, 0x04, 3);
        "active, unit attention", reads(&times(3, &attention()))    => failed(6, 0x29, 0);
        "active, descriptor format", reads(&[descriptor()])         => failed(5, 0, 0);
        "active, EIO", reads(&[errno(libc::EIO)])                   => failed(0, 0, 0);
        "active, unit attention, EIO", reads(&[attention(), errno(libc::EIO)]) => failed(0, 0, 0);
        "active, no SG_IO", reads(&[errno(libc::ENOTTY)])           => failed(0, 0, 0);
        "active, host 07", reads(&[host(7)])                        => failed(0, 0, 0);
    }
    let added = t.cases[first..].to_vec();
    for case in &added {
        for before in [None, Some(0), Some(1)] {
            let mut case = case.clone();
            case.name += &format!(", with a map of {before:?}");
            case.input.map = Map::Shared;
            case.input.checks[0].map_value = before;
            t.cases.push(case);
        }
    }

    let commands = [Command::inquiry(0xc0, 128), Command::read(1, 4096)];
    let checks = vec![(
        Check::from([active_path(), good()]),
        healthy().commands(commands),
    )];
    t.case("active, the commands", checks).input.preferred = 4096;
}

/// A passive path: its verdict depends on what the map knows of the unit.
fn maps(t: &mut Table) {
    // A message from before the check, which no plugin has.
    const UNTOUCHED: i16 = 77;
    table! { t;
        "active to snapshot, the message stays",
            Check::from([active_path(), refused()]).message(UNTOUCHED)
                => active_to_snapshot().ledger("E7");
    }
    for (value, expected) in [
        (0, HEALTHY.into()),
        (1, passive_to_snapshot().ledger("E7")),
        (-7, passive_to_snapshot().ledger("E7")),
    ] {
        let check = Check::from([passive()]).map_value(value);
        let name = format!("passive, with a map of {value}");
        t.case(&name, vec![(check, expected)]).input.map = Map::Shared;
    }

    let with_memory = |remembers: bool| {
        let passive_after = |snapshot: bool| match snapshot && remembers {
            true => passive_to_snapshot().ledger("E7"),
            false => HEALTHY.into(),
        };
        let by_another_path = Check::from([passive()]).message(UNTOUCHED).map_value(1);
        vec![
            (Check::from([passive()]), HEALTHY.into()),
            (
                Check::from([active_path(), refused()]),
                active_to_snapshot().ledger("E7"),
            ),
            (Check::from([passive()]), passive_after(true)),
            (Check::from([active_path(), good()]), HEALTHY.map(0)),
            (Check::from([passive()]), HEALTHY.into()),
            (by_another_path, passive_after(true)),
        ]
    };
    t.case("snapshot, with a map", with_memory(true)).input.map = Map::Shared;
    t.case("snapshot, without a map", with_memory(false))
        .ledger
        .push("E8");
    // From 0.15 on a map without a value is nothing special.
    let empty = t.case("snapshot, with an empty map", with_memory(false));
    (empty.input.map, empty.hosts) = (Map::Empty, Hosts::Before0_15);
    (empty.upstream_dies, empty.ledger) = (true, vec!["E5"]);
}

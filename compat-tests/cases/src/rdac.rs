// SPDX-License-Identifier: LGPL-2.0-or-later

//! rdac: INQUIRY for page C9h, and the TAS bit of the control mode page as the preparation.

#![forbid(unsafe_code)]

use crate::reply::{Answer, ERRNOS, errno, good, host, sense, statuses, times};
use crate::table::{Case, Check, Command, Expect, Expected, Table, table};
use crate::verdict::{State, Verdict};

pub(crate) const MESSAGES: &[&str] = &[
    " reports path is down: lun not connected",
    " reports path is down: ctlr is in startup sequence",
    " reports path is down: non-responsive to queries",
    " reports path is down: ctlr held in reset",
    " reports path is down: ctlr firmware downloading",
    " reports path is down: ctlr quiesced by admin request",
    " reports path is down: ctlr is in service mode",
    " reports path is down: ctlr is unavailable",
    " reports path is down: inquiry failed",
    " still running",
    " timed out",
    " failed to initialize",
];

const UP: Verdict = Verdict::UP;
const GHOST: Verdict = Verdict::GHOST;
const UNSUPPORTED: Verdict = Verdict::UNSUPPORTED;
const NOT_CONNECTED: Verdict = Verdict::own(State::Down, 0);
const STARTING: Verdict = Verdict::own(State::Down, 1);
const NO_RESPONSE: Verdict = Verdict::own(State::Down, 2);
const IN_RESET: Verdict = Verdict::own(State::Down, 3);
const DOWNLOADING: Verdict = Verdict::own(State::Down, 4);
const QUIESCED: Verdict = Verdict::own(State::Down, 5);
const IN_SERVICE: Verdict = Verdict::own(State::Down, 6);
const UNAVAILABLE: Verdict = Verdict::own(State::Down, 7);
const FAILED: Verdict = Verdict::own(State::Down, 8);

/// A page of zeros but for these bytes.
fn page(bytes: &[(usize, u8)]) -> Vec<u8> {
    let mut page = vec![0; 48];
    for (at, value) in bytes {
        page[*at] = *value;
    }
    page
}

/// The page of the controller that owns the unit.
const OWNED: &[(usize, u8)] = &[(8, 0x01)];

pub(crate) fn cases() -> Vec<Case> {
    let mut t = Table::new([Command::inquiry(0xc9, 48)]);
    pages(&mut t);
    failures(&mut t);
    preparation(&mut t);
    t.cases
}

fn pages(t: &mut Table) {
    for (bytes, verdict) in [
        (&[][..], GHOST),
        // Owner, I/O shipping, both, and the other bits of the byte.
        (OWNED, UP),
        (&[(8, 0x20)], UP),
        (&[(8, 0x21)], UP),
        (&[(8, 0xce)], GHOST),
        // Peripheral qualifier and type.
        (&[(0, 0x20), (8, 1)], NOT_CONNECTED),
        (&[(0, 0x60), (8, 1)], NOT_CONNECTED),
        (&[(0, 0x7f), (8, 1)], NOT_CONNECTED),
        (&[(0, 0x01), (8, 1)], NOT_CONNECTED),
        (&[(0, 0x81), (8, 1)], NOT_CONNECTED),
        (&[(0, 0x80), (8, 1)], UP),
        (&[(0, 0x20), (8, 0x11), (10, 3), (11, 2)], NOT_CONNECTED),
        // Unavailable, with the vendor's reasons.
        (&[(8, 0x11), (10, 3), (11, 0)], UNAVAILABLE),
        (&[(8, 0x11), (10, 3), (11, 1)], UNAVAILABLE),
        (&[(8, 0x11), (10, 3), (11, 2)], NO_RESPONSE),
        (&[(8, 0x11), (10, 3), (11, 3)], IN_RESET),
        (&[(8, 0x11), (10, 3), (11, 4)], DOWNLOADING),
        (&[(8, 0x11), (10, 3), (11, 5)], DOWNLOADING),
        (&[(8, 0x11), (10, 3), (11, 6)], QUIESCED),
        (&[(8, 0x11), (10, 3), (11, 7)], IN_SERVICE),
        (&[(8, 0x11), (10, 3), (11, 8)], UNAVAILABLE),
        (&[(8, 0x11), (10, 3), (11, 0xff)], UNAVAILABLE),
        (&[(8, 0x31), (10, 0xf3), (11, 2)], NO_RESPONSE),
        // The same without target port group data.
        (&[(8, 0x01), (10, 3), (11, 2)], UP),
        // In transition alone, and together with the other controller.
        (&[(8, 0x11), (10, 0xf)], STARTING),
        (&[(8, 0x11), (10, 0xf), (12, 0xe)], STARTING),
        (&[(8, 0x11), (10, 0xf), (12, 0xf)], UP),
        (&[(8, 0x10), (10, 0xff), (12, 0xff)], GHOST),
        (&[(8, 0x01), (10, 0xf)], UP),
        // Other states, offline (0xe) among them, change nothing.
        (&[(8, 0x11), (10, 0xe)], UP),
        (&[(8, 0x10), (10, 2)], GHOST),
    ] {
        let name = format!("page {bytes:02x?}");
        table! { t; &name, [good().data(page(bytes))] => verdict; }
    }
}

fn failures(t: &mut Table) {
    let owned = |answer: Answer| answer.data(page(OWNED));
    let failed = || FAILED.ledger("R1");
    for (name, number) in ERRNOS {
        table! { t; name, [errno(number)] => failed(); }
    }
    table! { t;
        "no SG_IO", [errno(libc::ENOTTY)]           => UNSUPPORTED;
        "a page, then an errno", [owned(host(7)), errno(libc::EIO)] => failed();

        // What one attempt leaves in the page stays where a later one is shorter.
        "a page, then none", [owned(host(7)), good()]                   => UP;
        "a page, then 8 bytes", [owned(host(7)), good().data([0; 8])]   => UP;
        "8 bytes", [good().data([0; 8])]                                => GHOST;
        "host 2, 7, b, e, then good",
            [host(2), host(7), host(0xb), host(0xe), owned(good())]     => UP;
    }
    // Clear statuses let the page count, whatever summary and sense data say.
    for status in [0x00, 0x01, 0x80, 0x81] {
        for info in [0, 1] {
            let name = format!("clear {status:02x}, summary {info}");
            let reply = owned(statuses(status, 0, 0).info(info));
            table! { t;
                &name, [reply.clone()]                                  => UP;
                &format!("{name}, key 5"), [reply.fixed(5, 0, 0)]       => UP;
            }
        }
    }
    // Five attempts where the transport may recover, if the kernel's SG_INFO_CHECK says so.
    for status in 1..=0x20 {
        let name = format!("host {status:02x}");
        if [2, 7, 0xb, 0xe].contains(&status) {
            let good = [times(4, &host(status)), vec![owned(good())]].concat();
            table! { t;
                &name, times(5, &host(status))                          => FAILED;
                &format!("{name}, then good"), good                     => UP;
                &format!("{name}, no summary"), [host(status).info(0)]  => FAILED;
            }
        } else {
            table! { t; &name, [host(status)] => FAILED; }
        }
    }
    // Statuses that announce sense data, of which the key counts.
    for (status, driver) in [(2, 0), (0x22, 0), (0x83, 0), (0, 8), (8, 0x18), (8, 0x28)] {
        for (form, answer, key) in owned(statuses(status, 0, driver)).sense_forms() {
            let line = |key| format!("rdac checker: INQUIRY failed with sense key {key:02x}");
            let expected = match key {
                Some(1) => UP.into(),
                Some(5) => UNSUPPORTED.into(),
                Some(key) => FAILED.log(1, line(key)),
                None => FAILED.into(),
            };
            let name = format!("status {status:02x}, driver {driver:02x}, {form}");
            table! { t; &name, [answer] => expected; }
        }
    }
    // Statuses that do not.
    for (status, driver) in [(8, 0), (0x18, 0), (0, 6), (0, 7)] {
        for key in [1, 5, 6] {
            let name = format!("status {status:02x}, driver {driver:02x}, key {key}");
            let answer = owned(statuses(status, 0, driver)).fixed(key, 0, 0);
            table! { t; &name, [answer] => FAILED; }
        }
    }
}

/// What the preparation of a path must come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tas {
    /// The TAS bit is set, as far as the replies tell.
    Set,
    /// It is not, and that is logged.
    NotSet,
}
use Tas::{NotSet, Set};

const MODE_DATA_LENGTH: u8 = 20;

/// Mode data with this byte for TAS, and recognisable bytes around it.
fn mode_data(tas: u8) -> Vec<u8> {
    let mut data: Vec<u8> = (0xa0..0xa0 + MODE_DATA_LENGTH).collect();
    data[13] = tas;
    data
}

/// The first `count` of MODE SENSE for the current values, for the changeable ones, and MODE SELECT.
fn prepared(count: usize, outcome: Tas) -> Expected {
    let mode_sense = |page| {
        let cdb = [0x5a, 0x08, page, 0, 0, 0, 0, 0, MODE_DATA_LENGTH, 0];
        Command::input(&cdb, MODE_DATA_LENGTH.into())
    };
    let mut selected = mode_data(0x45);
    (selected[8], selected[9]) = (0x0a, 0x0a);
    let mode_select = [0x55, 1, 0, 0, 0, 0, 0, 0, MODE_DATA_LENGTH, 0];
    let commands = [
        mode_sense(0x0a),
        mode_sense(0x4a),
        Command::output(&mode_select, &selected),
    ];
    // The verdict does not count.
    let mut expected = UP.commands(&commands[..count]);
    expected.count = count;
    match outcome {
        Set => expected,
        NotSet => expected.log(3, "rdac checker failed to set TAS bit"),
    }
}

fn preparation(t: &mut Table) {
    let clear = || good().data(mode_data(0x05));
    let set = || good().data(mode_data(0x40));
    let attention = || sense(6, 0x29, 0);
    let not_sent = || errno(libc::EIO);
    let mut add = |name: &str, setup: Vec<Answer>, expected: Expected, ledger: &[&'static str]| {
        let case = t.case(name, vec![(Check::from([good()]), GHOST.into())]);
        case.input.setup = setup;
        case.setup = expected;
        case.ledger = ledger.to_vec();
    };
    for (name, setup, outcome) in [
        ("TAS set", vec![set()], Set),
        ("TAS to be set", vec![clear(), set(), good()], Set),
        (
            "TAS, change refused",
            vec![clear(), set(), sense(5, 0x26, 0)],
            Set,
        ),
        ("TAS not changeable", vec![clear(), clear()], NotSet),
        ("TAS, no SG_IO", vec![errno(libc::ENOTTY)], NotSet),
        ("TAS, first page not sent", vec![not_sent()], NotSet),
        (
            "TAS, second page not sent",
            vec![clear(), not_sent()],
            NotSet,
        ),
        (
            "TAS, change not sent",
            vec![clear(), set(), not_sent()],
            NotSet,
        ),
        ("TAS, second page empty", vec![clear(), host(7)], NotSet),
    ] {
        let count = setup.len();
        add(name, setup, prepared(count, outcome), &[]);
    }
    // A MODE SENSE that fails is not written back.
    let refused = vec![attention(), set(), good()];
    add(
        "TAS, first page refused",
        refused,
        prepared(1, NotSet),
        &["R2"],
    );
    for (what, failure) in [
        ("unit attention", attention()),
        ("recovered error", sense(1, 0, 0)),
        ("host 07", host(7)),
        ("driver 06", good().driver(6)),
    ] {
        let failure = failure.data(mode_data(0x40));
        let name = |page| format!("TAS, {page} page, {what}");
        let first = vec![failure.clone()];
        add(&name("first"), first, prepared(1, NotSet), &["R2"]);
        let second = vec![clear(), failure, good()];
        add(&name("second"), second, prepared(2, NotSet), &["R2"]);
    }
    // Otherwise the device answers without data.
    for case in &mut t.cases {
        if case.input.setup.is_empty() {
            case.input.setup = times(2, &good());
            case.setup = prepared(2, NotSet);
        }
    }
}

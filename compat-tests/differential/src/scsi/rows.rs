//! Hand-written lives: every line of every checker's decision table, with what has to come out.

use crate::scsi::Checker;
use crate::scsi::case::{Case, Check, Map, Mode};
use crate::scsi::device::{Answer, Reply, SENSE};
use harness::abi::Abi;

/// A life and what has to come out of it with our plugin. The C plugin has to agree, but for the rows
/// of the ledger that are named.
#[derive(Debug)]
pub(crate) struct Row {
    /// Whose table.
    pub(crate) checker: Checker,
    /// Which line of it.
    pub(crate) name: String,
    /// The life.
    pub(crate) case: Case,
    /// State, message id and number of commands of each check.
    pub(crate) expected: Vec<(i32, i16, usize)>,
    /// The rows of the ledger that must show, in the ABIs that they name.
    pub(crate) ledger: Vec<&'static str>,
    /// The C plugin does not survive this, in the ABIs that the ledger's row names.
    pub(crate) deadly: bool,
}

impl Row {
    /// The row with the life of a host in this mode. A host that comes back has cleared the message.
    pub(crate) fn in_mode(mut self, mode: Mode) -> Row {
        self.case.mode = mode;
        if mode == Mode::Async {
            for (_, message, _) in &mut self.expected {
                *message = if *message == UNTOUCHED { 0 } else { *message };
            }
        }
        self
    }
}

/// A message from before the check, which no plugin has.
const UNTOUCHED: i16 = 77;

const WILD: (i32, i16) = (0, 7);
const DOWN: (i32, i16) = (2, 5);
const UP: (i32, i16) = (3, 4);
const GHOST: (i32, i16) = (5, 6);

const ERRNOS: [i32; 6] = [
    libc::EIO,
    libc::EBADF,
    libc::ENODEV,
    libc::ENXIO,
    libc::EINVAL,
    libc::EAGAIN,
];

fn good() -> Answer {
    Reply::GOOD.into()
}

fn errno(errno: i32) -> Answer {
    Answer::errno(errno)
}

fn host(host: u16) -> Answer {
    let info = u32::from(host != 0);
    Reply {
        host,
        info,
        ..Reply::GOOD
    }
    .into()
}

/// Only these statuses, with the kernel's summary.
fn noise(status: u8, host: u16, driver: u16) -> Reply {
    Reply {
        status,
        host,
        driver,
        info: 1,
        ..Reply::GOOD
    }
}

fn fixed(key: u8, asc: u8, ascq: u8) -> [u8; SENSE] {
    let mut sense = [0; SENSE];
    (sense[0], sense[2], sense[7]) = (0x70, key, 10);
    (sense[12], sense[13]) = (asc, ascq);
    sense
}

fn descriptor(key: u8, asc: u8, ascq: u8) -> [u8; SENSE] {
    let mut sense = [0; SENSE];
    (sense[0], sense[1], sense[2], sense[3]) = (0x72, key, asc, ascq);
    sense
}

fn check_condition(sense: [u8; SENSE], sense_length: u8) -> Reply {
    Reply {
        sense,
        sense_length,
        ..noise(2, 0, 8)
    }
}

/// CHECK CONDITION with fixed-format sense data.
fn sense(key: u8, asc: u8, ascq: u8) -> Answer {
    check_condition(fixed(key, asc, ascq), 18).into()
}

fn case(checks: Vec<Check>) -> Case {
    Case {
        mode: Mode::Sync,
        timeout: 30,
        preferred: 512,
        map: Map::None,
        fd: None,
        setup: Vec::new(),
        checks,
    }
}

/// Collects the rows of one checker.
struct Table {
    checker: Checker,
    rows: Vec<Row>,
}

impl Table {
    fn new(checker: Checker) -> Table {
        Table {
            checker,
            rows: Vec::new(),
        }
    }

    /// One check with these answers, all of which must be used.
    fn row(&mut self, name: &str, answers: Vec<Answer>, verdict: (i32, i16)) {
        self.row_with(name, answers, verdict, &[]);
    }

    fn row_with(
        &mut self,
        name: &str,
        answers: Vec<Answer>,
        (state, message): (i32, i16),
        ledger: &[&'static str],
    ) {
        let expected = vec![(state, message, answers.len())];
        self.life(name, case(vec![answers.into()]), expected, ledger);
    }

    fn life(
        &mut self,
        name: &str,
        case: Case,
        expected: Vec<(i32, i16, usize)>,
        ledger: &[&'static str],
    ) {
        self.rows.push(Row {
            checker: self.checker,
            name: name.to_owned(),
            case,
            expected,
            ledger: ledger.to_vec(),
            deadly: false,
        });
    }

    /// A life that ends the C plugin's process.
    fn deadly(
        &mut self,
        name: &str,
        case: Case,
        expected: Vec<(i32, i16, usize)>,
        ledger: &'static str,
    ) {
        self.life(name, case, expected, &[ledger]);
        if let Some(row) = self.rows.last_mut() {
            row.deadly = true;
        }
    }
}

/// All rows of all checkers, for hosts of this ABI.
pub(crate) fn all(abi: Abi) -> Vec<Row> {
    [
        tur(abi),
        readsector0(),
        rdac(),
        emc_clariion(abi),
        hp_sw(),
        cciss_tur(abi),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn tur(abi: Abi) -> Vec<Row> {
    const TRANSITIONING: (i32, i16) = (6, 103);
    // A state that hosts know from 0.14.0 on.
    let disconnected = if abi < Abi::V0_14 { DOWN } else { (10, 8) };
    let mut t = Table::new(Checker::Tur);
    t.row("ENOTTY", vec![errno(libc::ENOTTY)], WILD);
    for number in [libc::EINTR, libc::ENOMEM].into_iter().chain(ERRNOS) {
        t.row(&format!("errno {number}"), vec![errno(number)], DOWN);
    }
    for status in [0x18, 0x19, 0x98, 0x99] {
        let reply = Reply {
            host: 7,
            ..check_condition(fixed(6, 0x29, 0), 18)
        };
        let reply = Reply { status, ..reply };
        t.row(
            &format!("reservation conflict {status:02x}"),
            vec![reply.into()],
            UP,
        );
    }
    t.row("good", vec![good()], UP);
    for info in [0, 2, 4] {
        let reply = Reply {
            info,
            ..check_condition(fixed(5, 0x25, 0), 18)
        };
        t.row("no check", vec![reply.into()], UP);
    }
    for status in 0..=0x20 {
        let attempts = match status {
            0 | 1 | 4 | 5 | 0xf => 1,
            _ => 5,
        };
        let answer = match status {
            0 => noise(0, 0, 0).into(),
            _ => host(status),
        };
        t.row(&format!("host {status:02x}"), vec![answer; attempts], DOWN);
        let standby = Reply {
            host: status,
            ..check_condition(fixed(2, 4, 0xb), 18)
        };
        t.row(
            &format!("host {status:02x}, standby"),
            vec![standby.into(); attempts],
            GHOST,
        );
    }
    t.row("host, then good", vec![host(7), host(2), good()], UP);
    t.row("unit attention", vec![sense(6, 0x29, 0); 5], DOWN);
    t.row(
        "unit attention, then good",
        vec![sense(6, 0x29, 0), good()],
        UP,
    );
    t.row(
        "one budget for both",
        vec![
            host(7),
            sense(6, 0x29, 0),
            host(7),
            sense(6, 0x3f, 0xe),
            host(0xb),
        ],
        DOWN,
    );
    let both: Answer = Reply {
        host: 7,
        ..check_condition(fixed(6, 0x29, 0), 18)
    }
    .into();
    t.row_with("both at once", vec![both; 5], DOWN, &["T1"]);
    for (key, asc, ascq, verdict, ledger) in [
        (2, 0x04, 0x0b, GHOST, &[][..]),
        (2, 0x04, 0x0a, TRANSITIONING, &["T8"]),
        (2, 0x04, 0x03, DOWN, &[]),
        (2, 0x04, 0x0c, DOWN, &[]),
        (2, 0x3a, 0x0b, DOWN, &[]),
        (5, 0x25, 0x00, disconnected, &[]),
        (5, 0x25, 0x01, DOWN, &[]),
        (5, 0x20, 0x00, DOWN, &[]),
        (0, 0x04, 0x0a, DOWN, &[]),
        (3, 0x11, 0x00, DOWN, &[]),
    ] {
        let name = format!("sense {key:x}/{asc:02x}/{ascq:02x}");
        t.row_with(&name, vec![sense(key, asc, ascq)], verdict, ledger);
        let answer = check_condition(descriptor(key, asc, ascq), 8).into();
        t.row_with(
            &format!("{name}, descriptor"),
            vec![answer],
            verdict,
            ledger,
        );
    }
    for (code, data, length, verdict) in [
        (0x70, fixed(2, 4, 0xb), 14, GHOST),
        (0x70, fixed(2, 4, 0xb), 13, DOWN),
        (0x70, fixed(2, 4, 0xb), 0, DOWN),
        (0x70, fixed(2, 4, 0xb), 255, GHOST),
        (0x71, fixed(2, 4, 0xb), 18, GHOST),
        (0xf0, fixed(2, 4, 0xb), 18, GHOST),
        (0xf1, fixed(2, 4, 0xb), 18, GHOST),
        (0x74, fixed(2, 4, 0xb), 18, DOWN),
        (0x7f, fixed(2, 4, 0xb), 18, DOWN),
        (0x72, descriptor(2, 4, 0xb), 4, GHOST),
        (0x72, descriptor(2, 4, 0xb), 3, DOWN),
        (0x73, descriptor(2, 4, 0xb), 8, GHOST),
        (0xf2, descriptor(2, 4, 0xb), 8, DOWN),
    ] {
        let mut data = data;
        data[0] = code;
        let name = format!("response code {code:02x}, {length} bytes");
        t.row(&name, vec![check_condition(data, length).into()], verdict);
    }
    for timeout in [0, 1, 60, 4_294_968, u32::MAX] {
        let life = Case {
            timeout,
            ..case(vec![vec![good()].into()])
        };
        t.life(&format!("timeout {timeout}"), life, vec![(3, 4, 1)], &[]);
    }
    let again = vec![vec![sense(3, 0, 0)].into(), vec![good()].into()];
    t.life(
        "down and up again",
        case(again),
        vec![(2, 5, 1), (3, 4, 1)],
        &[],
    );
    t.rows
}

fn readsector0() -> Vec<Row> {
    let mut t = Table::new(Checker::Readsector0);
    for preferred in [1, 512, 513, 3000, 4096, 4097, 65536, 1 << 40] {
        let life = Case {
            preferred,
            ..case(vec![vec![good()].into()])
        };
        t.life(
            &format!("preferred {preferred}"),
            life,
            vec![(3, 4, 1)],
            &[],
        );
    }
    let nothing = Case {
        preferred: 0,
        ..case(vec![Vec::new().into()])
    };
    t.deadly("preferred 0", nothing, vec![(2, 5, 0)], "S1");
    t.row(
        "EINTR",
        [vec![errno(libc::EINTR); 20], vec![good()]].concat(),
        UP,
    );
    t.row("ENOMEM", vec![errno(libc::ENOMEM)], UP);
    for number in [libc::ENOTTY].into_iter().chain(ERRNOS) {
        t.row(&format!("errno {number}"), vec![errno(number)], DOWN);
    }
    t.row("good", vec![good()], UP);
    t.row("no look at the summary", vec![noise(0, 0, 0).into()], UP);
    for (status, host, driver) in [
        (1, 0, 0),
        (0x80, 0, 0),
        (8, 0, 0),
        (0x18, 0, 0),
        (0, 7, 0),
        (0, 0, 0x10),
    ] {
        let name = format!("statuses {status:02x} {host:02x} {driver:02x}");
        t.row(&name, vec![noise(status, host, driver).into()], DOWN);
    }
    t.row(
        "unit attention, twice",
        vec![sense(6, 0x29, 0), sense(6, 0x29, 0), good()],
        UP,
    );
    t.row("unit attention, thrice", vec![sense(6, 0x29, 0); 3], DOWN);
    let attention: Answer = check_condition(descriptor(6, 0x29, 0), 8).into();
    t.row("unit attention, descriptor", vec![attention; 3], DOWN);
    let short: Answer = check_condition(fixed(6, 0x29, 0), 13).into();
    t.row("unit attention, cut off", vec![short], DOWN);
    t.row("illegal request", vec![sense(5, 0x25, 0)], DOWN);
    t.rows
}

fn hp_sw() -> Vec<Row> {
    let mut t = Table::new(Checker::HpSw);
    t.row("ENOTTY", vec![errno(libc::ENOTTY)], WILD);
    for number in [libc::EINTR, libc::ENOMEM].into_iter().chain(ERRNOS) {
        t.row(&format!("errno {number}"), vec![errno(number)], DOWN);
    }
    for status in [0, 1, 0x80, 0x81] {
        let clear: Answer = noise(status, 0, 0).into();
        t.row(&format!("clear {status:02x}"), vec![clear, good()], UP);
    }
    for (status, driver) in [(2, 0), (0x22, 0), (0x83, 0), (0, 8), (8, 0x28)] {
        let with = |data, length| -> Answer {
            Reply {
                sense: data,
                sense_length: length,
                ..noise(status, 0, driver)
            }
            .into()
        };
        let name = format!("status {status:02x}, driver {driver:02x}");
        t.row(
            &format!("{name}, key 1"),
            vec![with(fixed(1, 0, 0), 18), good()],
            UP,
        );
        t.row(
            &format!("{name}, key 5"),
            vec![with(fixed(5, 0, 0), 18)],
            WILD,
        );
        t.row(
            &format!("{name}, key 5, descriptor"),
            vec![with(descriptor(5, 0, 0), 3)],
            WILD,
        );
        t.row(
            &format!("{name}, key 6"),
            vec![with(fixed(6, 0, 0), 18)],
            DOWN,
        );
        t.row(
            &format!("{name}, too short"),
            vec![with(fixed(5, 0, 0), 2)],
            DOWN,
        );
    }
    for (status, host, driver) in [(8, 0, 0), (0x18, 0, 0), (0, 7, 0), (0, 0, 6)] {
        let reply = Reply {
            sense: fixed(5, 0, 0),
            sense_length: 18,
            ..noise(status, host, driver)
        };
        let name = format!("statuses {status:02x} {host:02x} {driver:02x}");
        t.row(&name, vec![reply.into()], DOWN);
    }
    for (name, tur) in [
        ("TUR ENOTTY", errno(libc::ENOTTY)),
        ("TUR EIO", errno(libc::EIO)),
        ("TUR unit attention", sense(6, 0x29, 0)),
        ("TUR host", host(1)),
        ("TUR summary alone", noise(0, 0, 0).into()),
    ] {
        t.row(name, vec![good(), tur], GHOST);
    }
    let unannounced = Reply {
        info: 0,
        ..noise(2, 0, 0)
    };
    t.row("TUR without summary", vec![good(), unannounced.into()], UP);
    t.rows
}

fn cciss_tur(abi: Abi) -> Vec<Row> {
    let mut t = Table::new(Checker::CcissTur);
    for number in [libc::ENOTTY, libc::EINTR].into_iter().chain(ERRNOS) {
        t.row(
            &format!("no volume, errno {number}"),
            vec![errno(number)],
            DOWN,
        );
        t.row(
            &format!("no command, errno {number}"),
            vec![good(), errno(number)],
            DOWN,
        );
    }
    for volume in [0, 1, 0x3fff_ffff, 0x4000_0000, 0x8000_0001, u32::MAX] {
        let answer = Reply {
            volume,
            ..Reply::GOOD
        };
        t.row(
            &format!("volume {volume:08x}"),
            vec![answer.into(), good()],
            UP,
        );
    }
    for (status, command_status) in [(2, 0), (0, 1), (0x80, 0), (0, 0x100), (8, 0xb)] {
        let answer = Reply {
            status,
            command_status,
            ..Reply::GOOD
        };
        let name = format!("status {status:02x}, command status {command_status:04x}");
        t.row(&name, vec![good(), answer.into()], DOWN);
    }
    // 0.15's libmultipath does not call the plugin then.
    if abi != Abi::V0_15 {
        let nowhere = Case {
            fd: Some(-1),
            ..case(vec![Vec::new().into()])
        };
        t.life("no descriptor", nowhere, vec![(0, 2, 0)], &["C2"]);
    }
    t.rows
}

/// A page of zeros, changed at these offsets.
fn page(length: usize, bytes: &[(usize, u8)]) -> Vec<u8> {
    let mut page = vec![0; length];
    for (at, value) in bytes {
        page[*at] = *value;
    }
    page
}

fn rdac() -> Vec<Row> {
    let mut t = Table::new(Checker::Rdac);
    rdac_preparation(&mut t);
    let with = |reply: Reply, bytes: &[(usize, u8)]| -> Answer {
        Reply {
            data: page(48, bytes),
            ..reply
        }
        .into()
    };
    let owned = &[(8, 1)][..];
    let failed = (2, 108);
    t.row("ENOTTY", vec![errno(libc::ENOTTY)], WILD);
    for number in [libc::EINTR, libc::ENOMEM].into_iter().chain(ERRNOS) {
        t.row_with(
            &format!("errno {number}"),
            vec![errno(number)],
            failed,
            &["R1"],
        );
    }
    t.row_with(
        "a page, then an errno",
        vec![with(noise(0, 7, 0), owned), errno(libc::EIO)],
        failed,
        &["R1"],
    );
    for status in [0, 1, 0x80] {
        t.row(
            &format!("clear {status:02x}"),
            vec![with(noise(status, 0, 0), owned)],
            UP,
        );
    }
    for status in 1..=0x20 {
        let attempts = if [2, 7, 0xb, 0xe].contains(&status) {
            5
        } else {
            1
        };
        t.row(
            &format!("host {status:02x}"),
            vec![host(status); attempts],
            failed,
        );
    }
    t.row(
        "host, then good",
        vec![
            host(2),
            host(7),
            host(0xb),
            host(0xe),
            with(Reply::GOOD, owned),
        ],
        UP,
    );
    t.row(
        "host without summary",
        vec![
            Reply {
                info: 0,
                ..noise(0, 7, 0)
            }
            .into(),
        ],
        failed,
    );
    t.row(
        "a page that stays",
        vec![with(noise(0, 7, 0), owned), good()],
        UP,
    );
    for (status, driver) in [(2, 0), (0x22, 0), (0x83, 0), (0, 8), (8, 0x28)] {
        let with = |data, length| {
            let reply = Reply {
                sense: data,
                sense_length: length,
                ..noise(status, 0, driver)
            };
            vec![with(reply, owned)]
        };
        let name = format!("status {status:02x}, driver {driver:02x}");
        t.row(&format!("{name}, key 1"), with(fixed(1, 0, 0), 18), UP);
        t.row(&format!("{name}, key 5"), with(fixed(5, 0, 0), 18), WILD);
        t.row(
            &format!("{name}, key 5, descriptor"),
            with(descriptor(5, 0, 0), 3),
            WILD,
        );
        t.row(&format!("{name}, key 6"), with(fixed(6, 0, 0), 18), failed);
        t.row(
            &format!("{name}, too short"),
            with(fixed(5, 0, 0), 2),
            failed,
        );
    }
    for (status, driver) in [(8, 0), (0x18, 0), (0, 6), (0, 7)] {
        let reply = Reply {
            sense: fixed(1, 0, 0),
            sense_length: 18,
            ..noise(status, 0, driver)
        };
        t.row(
            &format!("status {status:02x}, driver {driver:02x}"),
            vec![with(reply, owned)],
            failed,
        );
    }
    for (bytes, verdict) in [
        (&[][..], GHOST),
        (owned, UP),
        (&[(8, 0x20)], UP),
        (&[(8, 0xce)], GHOST),
        (&[(0, 0x20), (8, 1)], (2, 100)),
        (&[(0, 0x60), (8, 1)], (2, 100)),
        (&[(0, 0x7f), (8, 1)], (2, 100)),
        (&[(0, 0x01), (8, 1)], (2, 100)),
        (&[(0, 0x81), (8, 1)], (2, 100)),
        (&[(0, 0x80), (8, 1)], UP),
        (&[(0, 0x20), (8, 0x11), (10, 3), (11, 2)], (2, 100)),
        (&[(8, 0x11), (10, 3), (11, 0)], (2, 107)),
        (&[(8, 0x11), (10, 3), (11, 1)], (2, 107)),
        (&[(8, 0x11), (10, 3), (11, 2)], (2, 102)),
        (&[(8, 0x11), (10, 3), (11, 3)], (2, 103)),
        (&[(8, 0x11), (10, 3), (11, 4)], (2, 104)),
        (&[(8, 0x11), (10, 3), (11, 5)], (2, 104)),
        (&[(8, 0x11), (10, 3), (11, 6)], (2, 105)),
        (&[(8, 0x11), (10, 3), (11, 7)], (2, 106)),
        (&[(8, 0x11), (10, 3), (11, 8)], (2, 107)),
        (&[(8, 0x11), (10, 3), (11, 0xff)], (2, 107)),
        (&[(8, 0x31), (10, 0xf3), (11, 2)], (2, 102)),
        (&[(8, 0x01), (10, 3), (11, 2)], UP),
        (&[(8, 0x11), (10, 0xf)], (2, 101)),
        (&[(8, 0x11), (10, 0xf), (12, 0xe)], (2, 101)),
        (&[(8, 0x11), (10, 0xf), (12, 0xf)], UP),
        (&[(8, 0x10), (10, 0xff), (12, 0xff)], GHOST),
        (&[(8, 0x01), (10, 0xf)], UP),
        (&[(8, 0x11), (10, 0xe)], UP),
    ] {
        t.row(
            &format!("page {bytes:02x?}"),
            vec![with(Reply::GOOD, bytes)],
            verdict,
        );
    }
    t.rows
}

/// The commands of `libcheck_init`.
fn rdac_preparation(t: &mut Table) {
    let mode = |reply: Reply, tas: u8| -> Answer {
        let mut data: Vec<u8> = (0xa0..0xb4).collect();
        data[13] = tas;
        Reply { data, ..reply }.into()
    };
    let clear = || mode(Reply::GOOD, 0x05);
    let set = || mode(Reply::GOOD, 0x40);
    let attention = || Reply {
        data: Vec::new(),
        ..check_condition(fixed(6, 0x29, 0), 18)
    };
    let recovered = || check_condition(fixed(1, 0, 0), 18);
    for (name, setup, ledger) in [
        ("TAS set", vec![set()], &[][..]),
        ("TAS to be set", vec![clear(), set(), good()], &[]),
        ("TAS not changeable", vec![clear(), clear()], &[]),
        ("TAS, no first page", vec![errno(libc::EIO)], &[]),
        ("TAS, no second page", vec![clear(), errno(libc::EIO)], &[]),
        (
            "TAS, no change",
            vec![clear(), set(), errno(libc::EIO)],
            &[],
        ),
        (
            "TAS, change refused",
            vec![clear(), set(), sense(5, 0x26, 0)],
            &[],
        ),
        (
            "TAS, first page refused",
            vec![attention().into(), set(), good()],
            &["R2"],
        ),
        (
            "TAS, first page recovered",
            vec![mode(recovered(), 0x40)],
            &["R2"],
        ),
        (
            "TAS, second page refused",
            vec![clear(), mode(attention(), 0x40), good()],
            &["R2"],
        ),
        ("TAS, second page not there", vec![clear(), host(7)], &[]),
    ] {
        let life = Case {
            setup,
            ..case(vec![vec![good()].into()])
        };
        t.life(name, life, vec![(5, 6, 1)], ledger);
    }
}

fn emc_clariion(abi: Abi) -> Vec<Row> {
    let mut t = Table::new(Checker::EmcClariion);
    let with = |reply: Reply, bytes: &[(usize, u8)]| -> Answer {
        let mut data = page(128, &[(1, 0xc0), (4, 1), (27, 3), (28, 4), (30, 4)]);
        data[10..26].copy_from_slice(b"sixteen letters!");
        for (at, value) in bytes {
            data[*at] = *value;
        }
        Reply { data, ..reply }.into()
    };
    let passive = || with(Reply::GOOD, &[]);
    let active = || with(Reply::GOOD, &[(4, 2)]);
    let (failed, error, healthy) = ((2, 100), (2, 101), (3, 108));

    t.row("ENOTTY", vec![errno(libc::ENOTTY)], WILD);
    for number in [libc::EINTR, libc::ENOMEM].into_iter().chain(ERRNOS) {
        t.row(&format!("errno {number}"), vec![errno(number)], failed);
    }
    for status in 1..=0x20 {
        let attempts = if [2, 7, 0xb, 0xe].contains(&status) {
            5
        } else {
            1
        };
        t.row(
            &format!("host {status:02x}"),
            vec![host(status); attempts],
            error,
        );
    }
    t.row(
        "host, then good",
        vec![host(2), host(7), host(0xb), host(0xe), passive()],
        healthy,
    );
    t.row(
        "a page that is wiped",
        vec![with(noise(0, 7, 0), &[]), good()],
        (2, 103),
    );
    for (status, driver) in [(2, 0), (0x22, 0), (0, 8), (8, 0x28)] {
        let with = |data, length| {
            let reply = Reply {
                sense: data,
                sense_length: length,
                ..noise(status, 0, driver)
            };
            vec![with(reply, &[])]
        };
        let name = format!("status {status:02x}, driver {driver:02x}");
        t.row(&format!("{name}, key 5"), with(fixed(5, 0, 0), 18), WILD);
        t.row(
            &format!("{name}, key 5, descriptor"),
            with(descriptor(5, 0, 0), 3),
            WILD,
        );
        t.row(&format!("{name}, key 6"), with(fixed(6, 0, 0), 18), error);
        t.row(&format!("{name}, key 1"), with(fixed(1, 0, 0), 18), error);
        t.row(
            &format!("{name}, too short"),
            with(fixed(5, 0, 0), 2),
            error,
        );
    }
    for status in [0x03, 0x82, 0xa2, 0x08] {
        let reply = Reply {
            sense: fixed(5, 0, 0),
            sense_length: 18,
            ..noise(status, 0, 0)
        };
        t.row(
            &format!("status {status:02x}, key 5"),
            vec![with(reply, &[])],
            error,
        );
    }
    let recovered = Reply {
        info: 0,
        ..check_condition(fixed(1, 0, 0), 18)
    };
    t.row(
        "recovered without summary",
        vec![with(recovered, &[])],
        healthy,
    );
    for (bytes, verdict) in [
        (&[][..], healthy),
        (&[(1, 0xc1)], (2, 103)),
        (&[(9, 1), (27, 0)], (2, 103)),
        (&[(27, 2)], (2, 102)),
        (&[(28, 0)], (2, 102)),
        (&[(28, 5)], (2, 102)),
        (&[(28, 6)], healthy),
        (&[(28, 0xfc)], healthy),
        (&[(30, 0xfb), (48, 1)], (2, 102)),
        (&[(48, 1), (4, 0)], (4, 104)),
        (&[(4, 0)], (2, 105)),
        (&[(4, 0xff)], healthy),
    ] {
        t.row(
            &format!("page {bytes:02x?}"),
            vec![with(Reply::GOOD, bytes)],
            verdict,
        );
    }

    let renamed = vec![
        vec![passive()].into(),
        vec![with(Reply::GOOD, &[(25, 0)])].into(),
        vec![passive()].into(),
    ];
    t.life(
        "another name",
        case(renamed),
        vec![(3, 108, 1), (2, 106, 1), (3, 108, 1)],
        &[],
    );
    let failing = vec![
        vec![active(), errno(libc::EIO)].into(),
        vec![with(Reply::GOOD, &[(10, 0)])].into(),
    ];
    t.life(
        "a name from a failing path",
        case(failing),
        vec![(2, 107, 2), (2, 106, 1)],
        &[],
    );

    let snapshot = || sense(5, 0x25, 1);
    let mut untouched = Check::from(vec![active(), snapshot()]);
    untouched.message = UNTOUCHED;
    t.life(
        "active to snapshot",
        case(vec![untouched]),
        vec![(2, UNTOUCHED, 2)],
        &["E7"],
    );
    t.row("active", vec![active(), good()], healthy);
    t.row(
        "active, ENOMEM",
        vec![active(), errno(libc::ENOMEM)],
        healthy,
    );
    for (name, reads) in [
        ("errno", vec![errno(libc::EIO)]),
        ("not a snapshot", vec![sense(5, 0x25, 0)]),
        ("unit attention", vec![sense(6, 0x29, 0); 3]),
        (
            "descriptor",
            vec![check_condition(descriptor(5, 0x25, 1), 8).into()],
        ),
        ("host", vec![host(7)]),
    ] {
        let answers = [vec![active()], reads].concat();
        t.row(&format!("active, {name}"), answers, (2, 107));
    }
    let mut odd = fixed(0xf5, 0x25, 1);
    odd[0] = 0x72;
    let answers = vec![active(), check_condition(odd, 3).into()];
    t.row_with(
        "active, sense taken for fixed format",
        answers,
        (2, 0),
        &["E7"],
    );

    let shared = vec![
        vec![passive()].into(),
        vec![active(), snapshot()].into(),
        vec![passive()].into(),
        vec![active(), good()].into(),
        vec![passive()].into(),
        Check {
            message: UNTOUCHED,
            map_value: Some(1),
            ..vec![passive()].into()
        },
    ];
    let in_map = Case {
        map: Map::Shared,
        ..case(shared.clone())
    };
    t.life(
        "snapshot, with a map",
        in_map,
        vec![
            (3, 108, 1),
            (2, 0, 2),
            (2, 0, 1),
            (3, 108, 2),
            (3, 108, 1),
            (2, UNTOUCHED, 1),
        ],
        &["E7"],
    );
    // From 0.15.0 on a map without a value is nothing special.
    if abi != Abi::V0_15 {
        let empty = Case {
            map: Map::Empty,
            ..case(shared.clone())
        };
        t.deadly(
            "snapshot, with an empty map",
            empty,
            vec![
                (3, 108, 1),
                (2, 0, 2),
                (3, 108, 1),
                (3, 108, 2),
                (3, 108, 1),
                (3, 108, 1),
            ],
            "E5",
        );
    }
    t.life(
        "snapshot, without a map",
        case(shared),
        vec![
            (3, 108, 1),
            (2, 0, 2),
            (3, 108, 1),
            (3, 108, 2),
            (3, 108, 1),
            (3, 108, 1),
        ],
        &["E7", "E8"],
    );
    t.rows
}

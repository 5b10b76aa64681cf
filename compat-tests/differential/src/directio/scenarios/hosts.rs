//! Which host loaded the plugin: finding the ABI, being told, refusing strangers.

use super::{Scenario, held, held_instance};
use crate::directio::host::Host;
use crate::directio::session::Session;
use harness::Result;
use harness::abi::Abi;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::ours(
        "abi-asked",
        "a host with libmultipath cannot be overruled by libcheck_assume_abi",
        &[
            Host::B,
            Host::BOld,
            Host::C,
            Host::CPrime,
            Host::D,
            Host::Hidden,
        ],
        overruled,
    ),
    Scenario::ours(
        "abi-assumed",
        "a host without libmultipath says its ABI, with any letter but a wrong one",
        &[
            Host::Assuming(Abi::V0_7_9),
            Host::Assuming(Abi::V0_11),
            Host::Assuming(Abi::V0_15),
        ],
        assumed,
    ),
    Scenario::ours(
        "abi-unknown",
        "a host that says nothing is refused and nothing is touched",
        &[Host::Stranger],
        unknown,
    ),
    Scenario::ours(
        "abi-hidden",
        "libmultipath loaded by the host for itself alone is found",
        &[Host::Hidden],
        hidden,
    ),
    Scenario::ours(
        "old-dlog",
        "dlog with the sink in front, as before 0.8.6",
        &[Host::BOld],
        old_dlog,
    ),
    Scenario::ours(
        "message-table",
        "the texts that every host prints",
        &[Host::B, Host::C, Host::CPrime, Host::D],
        messages,
    ),
];

/// Calls `libcheck_assume_abi` and records its answer.
fn assume(h: &mut Session, letter: u8, answer: &str) -> Result<()> {
    let value = h.plugin()?.assume_abi(letter.into());
    h.note(
        &format!("assume {:?}", char::from(letter)),
        "returned",
        &value.map_or("no such function".to_owned(), |value| value.to_string()),
    )?;
    h.expect(&[("returned", answer)]);
    Ok(())
}

fn overruled(h: &mut Session) -> Result<()> {
    for letter in *b"BCDX\0" {
        assume(h, letter, "-1")?;
    }
    let (gate, id) = held_instance(h, 1, 3)?;
    h.expect(&[("returned", "ok"), ("context", "set")]);
    h.check(id)?;
    h.expect(&[("returned", "pending"), ("msgid", "101")]);
    h.answer(gate, 1, "data")?;
    h.tick(id)?;
    h.expect(&[("returned", "up"), ("msgid", "4")]);
    assume(h, b'B', "-1")?;
    h.free(id)
}

fn assumed(h: &mut Session) -> Result<()> {
    for letter in *b"AX\0" {
        assume(h, letter, "-1")?;
    }
    let (gate, id) = held_instance(h, 1, 30)?;
    h.expect(&[("returned", "ok"), ("context", "set")]);
    h.check(id)?;
    h.expect(&[("returned", "pending"), ("msgid", "101"), ("waiting", "1")]);
    h.answer(gate, 1, "data")?;
    h.tick(id)?;
    h.expect(&[("returned", "up"), ("msgid", "4")]);
    h.free(id)?;
    h.expect(&[("flags", "none"), ("context", "null")]);
    h.reset()?;
    h.expect(&[("contexts", "0")]);
    Ok(())
}

fn unknown(h: &mut Session) -> Result<()> {
    let path = h.file_on("disk", "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    for _ in 0..2 {
        h.started(fd, 30)?;
        h.expect(&[
            ("returned", "failed"),
            ("context", "null"),
            ("msgid", "0"),
            ("flags", "none"),
            ("contexts", "0"),
        ]);
    }
    // Nor do the other entry points touch a struct whose layout they do not know.
    let id = h.instance(fd, 30)?;
    h.check(id)?;
    h.expect(&[
        ("returned", "unchecked"),
        ("msgid", "0"),
        ("context", "null"),
    ]);
    h.free(id)?;
    h.reset()?;
    h.expect(&[("contexts", "0")]);
    Ok(())
}

fn hidden(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 1)?;
    h.expect(&[("returned", "ok"), ("context", "set")]);
    for state in ["pending", "down"] {
        h.check(id)?;
        h.expect(&[("returned", state), ("waiting", "1")]);
    }
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up"), ("msgid", "4")]);
    h.free(id)
}

fn old_dlog(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 1)?;
    let called = "4 directio: called for <device>";
    h.check(id)?;
    // dlog filters by itself on these hosts, so every line arrives.
    h.expect(&[(
        "log",
        &format!("{called}\n4 directio: starting new request\n4 directio: async io pending"),
    )]);
    h.check(id)?;
    h.expect(&[(
        "log",
        &format!("{called}\n3 directio: abort check on timeout"),
    )]);
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("log", &format!("{called}\n4 directio: io finished 4096/0"))]);
    h.free(id)?;
    let (_gate, fd) = held(h, 2)?;
    let other = h.started(fd, 1)?;
    h.close(fd);
    h.check(other)?;
    h.expect_line("directio: io_submit error 9");
    h.free(other)
}

fn messages(h: &mut Session) -> Result<()> {
    let table = h.plugin()?.messages().join("|");
    h.note("the plugin's own messages", "table", &table)?;
    h.expect(&[(
        "table",
        " is not available| is waiting on aio| cannot get blocksize, set default",
    )]);
    // A regular file has no block size to ask for.
    let path = h.file_on("disk", "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 30)?;
    h.expect(&[
        ("msgid", "102"),
        ("text", " cannot get blocksize, set default"),
    ]);
    h.free(id)?;
    let device = h.loop_device(1 << 20, 512, false)?;
    let fd = h.open(&device, libc::O_RDONLY)?;
    let id = h.started(fd, 30)?;
    h.expect(&[("msgid", "0"), ("text", "")]);
    h.free(id)
}

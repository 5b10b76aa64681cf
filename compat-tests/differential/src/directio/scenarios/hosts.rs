// SPDX-License-Identifier: LGPL-2.0-or-later

//! Which host loaded the plugin: the ABI is recognised, or stated by the host, or the host is refused.

use super::prelude::*;

pub(super) const SCENARIOS: &[Scenario] = scenarios! {
    Ours(&[V0_8_6, OLD, V0_11, V0_14, V0_15, Host::Hidden]) "abi-asked" "a host with libmultipath cannot be overruled by libcheck_assume_abi" => overruled;
    Ours(&[Host::Assuming(Abi::V0_7_9), Host::Assuming(Abi::V0_11), Host::Assuming(Abi::V0_15)]) "abi-assumed" "a host without libmultipath says its ABI, with any letter but a wrong one" => assumed;
    Ours(&[Host::Unknown]) "abi-unknown" "a host that says nothing is refused and nothing is touched" => unknown;
    Ours(&[Host::Hidden]) "abi-hidden" "libmultipath loaded by the host for itself alone is found" => hidden;
    Ours(&[OLD]) "old-dlog" "dlog with the sink in front, as before 0.8.6" => old_dlog;
    Ours(&[V0_8_6, V0_11, V0_14, V0_15]) "message-table" "the texts that every host prints" => messages;
};

/// Calls `libcheck_assume_abi` and records what it returns.
fn assume(d: &mut Driver, letter: u8, expected: i32) -> Result<()> {
    let value = d.plugin()?.assume_abi(letter.into());
    let label = format!("assume {:?}", char::from(letter));
    d.note(&label, Observation::Returned(Returned::Number(value)))?
        .returned(Returned::Number(Some(expected)));
    Ok(())
}

fn overruled(d: &mut Driver) -> Result<()> {
    for letter in *b"BCDX\0" {
        assume(d, letter, -1)?;
    }
    let (gate, id) = held_instance(d, 1, 3)?;
    d.seen().returned(Returned::Ok).context(true);
    d.check(id)?.is(PENDING);
    d.answer(gate, 1, DATA)?;
    d.tick(id)?.is(UP);
    assume(d, b'B', -1)?;
    d.free(id).map(drop)
}

fn assumed(d: &mut Driver) -> Result<()> {
    for letter in *b"AX\0" {
        assume(d, letter, -1)?;
    }
    let (gate, id) = held_instance(d, 1, 30)?;
    d.seen().returned(Returned::Ok).context(true);
    d.check(id)?.is(PENDING).in_flight(1);
    d.answer(gate, 1, DATA)?;
    d.tick(id)?.is(UP);
    d.free(id)?.freed();
    d.reset()?.contexts(0);
    Ok(())
}

fn unknown(d: &mut Driver) -> Result<()> {
    let fd = d.open_file()?;
    for _ in 0..2 {
        d.init(fd, 30)?
            .1
            .returned(Returned::Failed)
            .freed()
            .msgid(0)
            .contexts(0);
    }
    // Nor do the other entry points touch a struct whose layout they do not know.
    let id = d.instance(fd, 30)?;
    d.check(id)?.refused().context(false);
    d.free(id)?;
    d.reset()?.contexts(0);
    Ok(())
}

fn hidden(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 1)?;
    d.seen().returned(Returned::Ok).context(true);
    for state in [PENDING, DOWN] {
        d.check(id)?.is(state).in_flight(1);
    }
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP);
    d.free(id).map(drop)
}

fn old_dlog(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 1)?;
    // dlog filters by itself on these hosts, so every record arrives.
    let log = Log::called().starts(4);
    d.check(id)?
        .logged(log.line(4, "directio: async io pending"));
    d.check(id)?.logged(Log::called().aborts());
    d.answer(gate, 1, DATA)?;
    d.check(id)?.logged(Log::called().finishes(4, 4096));
    d.free(id)?;
    let (_gate, fd) = held(d, 2)?;
    let other = d.started(fd, 1)?;
    d.close(fd);
    d.check(other)?.line("directio: io_submit error 9");
    d.free(other).map(drop)
}

fn messages(d: &mut Driver) -> Result<()> {
    let table = Observation::Text(d.plugin()?.messages().join("|"));
    let expected = " is not available| is waiting on aio| cannot get blocksize, set default";
    d.note("the plugin's own messages", table)?
        .has(Observation::Text(expected.to_owned()));
    // A regular file has no block size to ask for.
    let fd = d.open_file()?;
    let (id, seen) = d.init(fd, 30)?;
    seen.msgid(102).has(Observation::Text(
        " cannot get blocksize, set default".to_owned(),
    ));
    d.free(id)?;
    let fd = d.open_loop_device(libc::O_RDONLY)?;
    let (id, seen) = d.init(fd, 30)?;
    seen.msgid(0).has(Observation::Text("".to_owned()));
    d.free(id).map(drop)
}

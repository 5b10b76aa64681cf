// SPDX-License-Identifier: LGPL-2.0-or-later

//! Instances beside each other, and calls from other threads and processes.

use super::prelude::*;

pub(super) const SCENARIOS: &[Scenario] = scenarios! {
    Both "neighbours" "one instance takes the other's completion" => neighbours;
    Both "neighbours-257" "one instance takes 257 completions" => neighbours_257;
    Both "healthy-beside-hung" "a hung device holds up no other" => healthy_beside;
    Both "threads" "calls from different threads" => threads;
    Both "fork" "a check in a forked child" => fork;
    Both "verbosity" "lines above the host's verbosity are not logged" => verbosity;
};

fn neighbours(d: &mut Driver) -> Result<()> {
    let (gate_a, a) = held_instance(d, 1, 5)?;
    let (gate_b, b) = held_instance(d, 2, 5)?;
    d.check(a)?;
    d.check(b)?.in_flight(2).contexts(1);
    d.answer(gate_a, 1, DATA)?;
    d.check(b)?.is(PENDING);
    d.check(a)?.is(UP).in_flight(1);
    d.note_reads(gate_a, 1)?;
    d.answer(gate_b, 1, EIO)?;
    d.check(a)?.is(PENDING).in_flight(1);
    d.check(b)?.is(DOWN);
    d.note_reads(gate_b, 1)?;
    d.answer(gate_a, 1, DATA)?;
    // Ended, but not polled: free must not take it for a read in flight.
    d.free(a)?;
    d.check(b)?;
    d.answer(gate_b, 1, DATA)?;
    d.check(b)?;
    d.free(b).map(drop)
}

fn neighbours_257(d: &mut Driver) -> Result<()> {
    let (gate, ids) = crowd(d, 1, 257, 5)?;
    d.seen().in_flight(257).contexts(1);
    d.answer(gate, 257, DATA)?;
    let Some((first, rest)) = ids.split_first() else {
        return Ok(());
    };
    d.check(*first)?.is(UP);
    d.count_each("check of all others", rest, |d, id| d.check(id).map(drop))?
        .all(256, "check", UP)
        .in_flight(0);
    d.note_reads(gate, 257)?;
    d.count_each("free of all", &ids, |d, id| d.free(id).map(drop))
        .map(drop)
}

fn healthy_beside(d: &mut Driver) -> Result<()> {
    let (_gate, hung) = held_instance(d, 1, 3)?;
    let (_open, path) = d.gate(2)?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    let healthy = d.started(fd, 3)?;
    for _ in 0..5 {
        d.check(hung)?;
        d.verdict(healthy)?.is(UP).took(0).in_flight(1);
    }
    d.sync(true);
    d.verdict(healthy)?.is(UP).took(0);
    d.free(healthy)?;
    d.free(hung)?.took(0);
    Ok(())
}

fn threads(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 3)?;
    d.check_on_thread(id)?.is(PENDING).in_flight(1);
    d.check(id)?;
    d.answer(gate, 1, DATA)?;
    d.check_on_thread(id)?.is(UP);
    d.check_on_thread(id)?;
    d.free(id)?.took(0);
    Ok(())
}

fn fork(d: &mut Driver) -> Result<()> {
    let (gate, path) = d.gate(1)?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    let id = d.started(fd, 3)?;
    // AIO contexts belong to the parent: upstream cannot submit anything in the child, ours makes a context.
    d.sync(true);
    let log = |level| Log::called_sync(true).starts(level);
    d.check_in_child(id)?
        .differs(
            "I17",
            Observation::Returned(State::UNCHECKED.into()),
            Observation::Returned(UP.into()),
        )
        .differs("I17", Observation::Msgid(100), Observation::Msgid(4))
        .differs_in_log(
            "I17",
            log(3).line(3, "directio: io_submit error 0"),
            log(4).finishes(4, 4096),
        );
    d.sync(false);
    d.hold(gate)?;
    d.check(id)?.is(PENDING).in_flight(1);
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP);
    d.free(id).map(drop)
}

fn verbosity(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 4)?;
    for level in 0..=4 {
        host::set_verbosity(level);
        let seen = d.check(id)?;
        if level == 3 {
            let upstream = Log::default().line(3, "directio: async io pending");
            seen.differs_in_log("G1", upstream, Log::default());
        }
    }
    host::set_verbosity(3);
    d.check(id)?.logged(Log::default().aborts());
    host::set_verbosity(2);
    d.check(id)?.logged(Log::default());
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP).logged(Log::default());
    d.free(id).map(drop)
}

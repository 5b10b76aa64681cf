// SPDX-License-Identifier: LGPL-2.0-or-later

//! Hosts of 0.11.0 and later: instances that share a context, and reads that outlive their instance.

use super::later::{LATER, collect, need_wait, start};
use super::prelude::*;

pub(super) const SCENARIOS: &[Scenario] = scenarios! {
    Later(LATER) "later-neighbours" "one takes the other's completion" => neighbours;
    Later(LATER) "later-257" "one poll takes 257 completions" => neighbours_257;
    Later(LATER) "later-free" "free with a read in flight" => free;
    Later(LATER) "later-reset-orphan" "reset over a read that hangs" => reset_over_orphan;
    Later(LATER) "later-reset-in-flight" "the same, of a living instance" => reset_in_flight;
    Later(LATER) "later-1025" "1025 instances" => instances;
    Later(LATER) "later-orphans-1024" "1024 orphans" => orphans_1024;
};

fn neighbours(d: &mut Driver) -> Result<()> {
    let (gate_a, a) = held_instance(d, 1, 30)?;
    let (gate_b, b) = held_instance(d, 2, 30)?;
    start(d, a)?;
    start(d, b)?.in_flight(2).contexts(1);
    d.answer(gate_a, 1, DATA)?;
    collect(d, b, PENDING)?;
    // Instance a has not been polled, but its read has ended, so there is nothing to wait for.
    need_wait(d, a, false)?;
    collect(d, a, UP)?;
    start(d, a)?;
    d.answer(gate_a, 1, EIO)?;
    collect(d, b, PENDING)?;
    // check finds it as well, and starts nothing new.
    d.check(a)?.is(DOWN);
    d.note_reads(gate_a, 2)?;
    d.answer(gate_b, 1, DATA)?;
    start(d, a)?;
    d.answer(gate_a, 1, DATA)?;
    collect(d, a, UP)?;
    d.check(b)?.is(UP);
    d.note_reads(gate_b, 1)?;
    d.free(a)?;
    d.free(b).map(drop)
}

fn neighbours_257(d: &mut Driver) -> Result<()> {
    let (gate, ids) = crowd(d, 1, 257, 30)?;
    d.answer(gate, 257, DATA)?;
    let Some((first, rest)) = ids.split_first() else {
        return Ok(());
    };
    collect(d, *first, UP)?;
    d.count_each("check of all others", rest, |d, id| d.check(id).map(drop))?
        .all(256, "check", UP)
        .in_flight(0);
    d.note_reads(gate, 257)
}

fn free(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 30)?;
    start(d, id)?;
    d.free(id)?.freed().took(0).in_flight(1);
    let (other, neighbour) = held_instance(d, 2, 30)?;
    start(d, neighbour)?.contexts(1).in_flight(2);
    d.answer(gate, 1, DATA)?;
    collect(d, neighbour, PENDING)?;
    d.answer(other, 1, DATA)?;
    collect(d, neighbour, UP)?;
    d.free(neighbour)?;
    d.reset()?.contexts(0).took(0);
    Ok(())
}

fn reset_over_orphan(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 30)?;
    start(d, id)?;
    d.free(id)?;
    d.let_go_later(2, gate, DATA);
    d.reset()?
        .contexts(0)
        .differs_in_time("I6", 2, 0)
        .differs_in_flight("I6", 0, 1);
    d.let_go_unseen(gate, DATA)?;
    let (_other, id) = held_instance(d, 2, 30)?;
    start(d, id)?.contexts(1).in_flight(1);
    d.free(id).map(drop)
}

fn reset_in_flight(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 30)?;
    start(d, id)?;
    d.let_go_later(2, gate, DATA);
    d.reset()?
        .differs_in_time("I6", 2, 0)
        .differs("I5", Observation::Contexts(0), Observation::Contexts(1))
        .differs_in_flight("I6", 0, 1);
    if d.upstream_ends("its instances point to a group that is no more")? {
        return Ok(());
    }
    start(d, id)?;
    d.let_go(gate, DATA)?;
    collect(d, id, UP)?.contexts(1).in_flight(0);
    d.free(id)?;
    d.reset()?.contexts(0).took(0);
    Ok(())
}

fn instances(d: &mut Driver) -> Result<()> {
    let fd = d.open_file()?;
    let mut ids = Vec::new();
    for (count, contexts) in [(1024, 1), (1, 2)] {
        d.count(&format!("init of {count} instances"), |d| {
            for _ in 0..count {
                ids.push(d.started(fd, 30)?);
            }
            Ok(())
        })?
        .contexts(contexts);
    }
    d.count_each("free of all", &ids, |d, id| d.free(id).map(drop))?
        .contexts(2);
    d.reset()?.contexts(0);
    Ok(())
}

fn orphans_1024(d: &mut Driver) -> Result<()> {
    let (gate, ids) = crowd(d, 1, 1024, 30)?;
    let Some((last, rest)) = ids.split_last() else {
        return Ok(());
    };
    d.count_each("free of 1023 instances", rest, |d, id| d.free(id).map(drop))?;
    d.let_go_later(2, gate, DATA);
    d.free(*last)?
        .context(false)
        .contexts(0)
        .differs_in_time("I6", 2, 0)
        .differs_in_flight("I6", 0, 1024);
    d.let_go_unseen(gate, DATA)?;
    d.reset()?.contexts(0).in_flight(0).took(0);
    Ok(())
}

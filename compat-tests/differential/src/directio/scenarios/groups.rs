// SPDX-License-Identifier: LGPL-2.0-or-later

//! Shared AIO contexts of 1024 requests each, and the requests that outlive their instance.

use super::prelude::*;

pub(super) const SCENARIOS: &[Scenario] = scenarios! {
    Both "instances-1025" "the 1025th instance opens a second context" => |d| instances(d, 1024, 1);
    Both "instances-4096" "4096 instances need exactly four contexts" => |d| instances(d, 4096, 4);
    Both "init-fails" "a failed init keeps the context and no place in it" => init_fails;
    Both "free-nothing" "free without, twice, and check after it" => free_nothing;
    Both "free-finished" "free when the read has ended unseen" => free_finished;
    Both "free-in-flight" "free with a read in flight; a neighbour reaps it" => orphan;
    Both "free-timed-out" "free after the time limit, the read still hanging" => |d| {
            let (gate, id) = held_instance(d, 1, 1)?;
            d.check(id)?;
            d.check(id)?.is(DOWN).in_flight(1);
            reap(d, gate, id)
        };
    Both "free-sync-timed-out" "the same after a synchronous check" => |d| {
            let (gate, id) = held_instance(d, 1, 1)?;
            d.sync(true);
            d.check(id)?.is(DOWN).in_flight(1);
            d.sync(false);
            reap(d, gate, id)
        };
    Both "orphans-hold-places" "orphans count as holders until they end" => places;
    Both "orphans-1023" "1023 orphans and one that ended leave the group" => orphans_1023;
    Both "orphans-1024" "the 1024th orphan ends the group" => orphans_1024;
};

fn many(d: &mut Driver, fd: RawFd, count: usize) -> Result<Vec<Id>> {
    let mut ids = Vec::new();
    d.count(&format!("init of {count} instances"), |d| {
        for _ in 0..count {
            ids.push(d.started(fd, 30)?);
        }
        Ok(())
    })?;
    Ok(ids)
}

fn free_all<'a>(d: &'a mut Driver, ids: &[Id]) -> Result<Seen<'a>> {
    d.count_each(&format!("free of {} instances", ids.len()), ids, |d, id| {
        d.free(id).map(drop)
    })
}

fn instances(d: &mut Driver, count: usize, contexts: usize) -> Result<()> {
    let fd = d.open_file()?;
    let ids = many(d, fd, count)?;
    d.seen().contexts(contexts);
    let (one_more, seen) = d.init(fd, 30)?;
    seen.contexts(contexts + 1);
    d.sync(true);
    for id in [ids.first(), ids.last(), Some(&one_more)]
        .into_iter()
        .flatten()
    {
        d.verdict(*id)?.is(UP);
    }
    d.count_each("check of all", &ids, |d, id| d.check(id).map(drop))?
        .all(count as u64, "check", UP);
    d.free(one_more)?;
    free_all(d, &ids)?
        // Freeing returns places, not contexts.
        .contexts(contexts + 1);
    let again = many(d, fd, count + 1)?;
    d.seen().contexts(contexts + 1);
    free_all(d, &again)?;
    d.reset()?.contexts(0);
    Ok(())
}

fn init_fails(d: &mut Driver) -> Result<()> {
    for _ in 0..3 {
        d.init(-1, 30)?.1.returned(Returned::Failed).contexts(1);
    }
    let fd = d.open_file()?;
    let ids = many(d, fd, 1024)?;
    d.seen().contexts(1);
    free_all(d, &ids)?;
    d.reset()?.contexts(0);
    Ok(())
}

fn free_nothing(d: &mut Driver) -> Result<()> {
    let fd = d.open_file()?;
    let never = d.instance(fd, 30)?;
    d.free(never)?.context(false).contexts(0);
    d.check(never)?.refused();
    let id = d.started(fd, 30)?;
    d.verdict(id)?;
    d.free(id)?.freed();
    d.free(id)?.freed();
    for sync in [false, true] {
        d.sync(sync);
        d.check(id)?.refused().logged(Log::default());
    }
    Ok(())
}

fn free_finished(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 3)?;
    d.check(id)?;
    d.answer(gate, 1, DATA)?;
    // The completion waits in the ring; the checker has not been called.
    d.free(id)?.took(0).context(false).in_flight(0);
    let (other_gate, other) = held_instance(d, 2, 3)?;
    d.check(other)?.contexts(1);
    d.answer(other_gate, 1, DATA)?;
    d.check(other)?;
    d.free(other)?;
    d.reset()?.contexts(0).took(0);
    Ok(())
}

/// Frees an instance whose read hangs and lets another one see the end of that read.
fn reap(d: &mut Driver, gate: Gate, id: Id) -> Result<()> {
    d.free(id)?.freed().took(0).in_flight(1);
    let (neighbours_gate, neighbour) = held_instance(d, 2, 3)?;
    d.check(neighbour)?.is(PENDING).in_flight(2).contexts(1);
    d.answer(gate, 1, DATA)?;
    d.check(neighbour)?.is(PENDING).in_flight(1);
    d.answer(neighbours_gate, 1, DATA)?;
    d.check(neighbour)?.is(UP).in_flight(0);
    d.free(neighbour)?;
    d.reset()?.contexts(0).took(0);
    Ok(())
}

fn orphan(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 3)?;
    d.check(id)?.is(PENDING).in_flight(1);
    reap(d, gate, id)
}

fn places(d: &mut Driver) -> Result<()> {
    let (gate, ids) = crowd(d, 1, 1024, 5)?;
    d.seen().contexts(1).in_flight(1024);
    let (leavers, stayers) = ids.split_at(10);
    free_all(d, leavers)?;
    d.seen().contexts(1).in_flight(1024);
    let (_other, fd) = held(d, 2)?;
    let (next, seen) = d.init(fd, 5)?;
    seen.contexts(2);
    d.free(next)?;
    // The ten oldest reads are those of the instances that left.
    d.answer(gate, 10, DATA)?;
    let Some(stayer) = stayers.first() else {
        return Ok(());
    };
    d.check(*stayer)?.is(PENDING).in_flight(1014);
    // 1024 in the second group and ten in the first.
    let fd = d.open_file()?;
    let filled = many(d, fd, 1034)?;
    d.seen().contexts(2);
    let (last, seen) = d.init(fd, 30)?;
    seen.contexts(3);
    d.free(last)?;
    free_all(d, &filled)?;
    d.answer(gate, 1014, DATA)?;
    d.count_each("check of the others", stayers, |d, id| {
        d.check(id).map(drop)
    })?
    .all(1014, "check", UP);
    free_all(d, stayers)?;
    d.reset()?.contexts(0);
    Ok(())
}

fn orphans_1023(d: &mut Driver) -> Result<()> {
    let (gate, ids) = crowd(d, 1, 1024, 5)?;
    d.answer(gate, 1, DATA)?;
    let Some((first, rest)) = ids.split_first() else {
        return Ok(());
    };
    d.check(*first)?.is(UP).in_flight(1023);
    free_all(d, rest)?;
    d.free(*first)?.contexts(1).took(0).in_flight(1023);
    d.answer(gate, 1023, DATA)?;
    let (_other, id) = held_instance(d, 2, 5)?;
    d.check(id)?.contexts(1).in_flight(1);
    d.free(id).map(drop)
}

fn orphans_1024(d: &mut Driver) -> Result<()> {
    let (gate, ids) = crowd(d, 1, 1024, 5)?;
    let Some((last, rest)) = ids.split_last() else {
        return Ok(());
    };
    free_all(d, rest)?;
    d.seen().contexts(1).in_flight(1024);
    d.let_go_later(2, gate, DATA);
    // No instance can use this group any more: upstream ends it, which waits for all its reads.
    d.free(*last)?
        .freed()
        .differs_in_time("I6", 2, 0)
        .contexts(0)
        .differs_in_flight("I6", 0, 1024);
    d.let_go_unseen(gate, DATA)?;
    d.reset()?.contexts(0).took(0).in_flight(0);
    let (_other, id) = held_instance(d, 2, 5)?;
    d.check(id)?.contexts(1).in_flight(1);
    d.free(id).map(drop)
}

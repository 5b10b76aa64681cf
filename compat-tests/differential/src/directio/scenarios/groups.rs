//! Shared AIO contexts of 1024 requests each, and the requests that outlive their instance.

use super::{Scenario, crowd, held, held_instance};
use crate::directio::session::{Id, Session};
use harness::Result;
use std::os::fd::RawFd;
use std::time::Duration;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::both(
        "instances-1025",
        "the 1025th instance opens a second context",
        |h| instances(h, 1024, 1),
    ),
    Scenario::both(
        "instances-4096",
        "4096 instances need exactly four contexts",
        |h| instances(h, 4096, 4),
    ),
    Scenario::both(
        "init-fails",
        "a failed init keeps the context and no place in it",
        init_fails,
    ),
    Scenario::both(
        "free-nothing",
        "free without, twice, and check after it",
        free_nothing,
    ),
    Scenario::both(
        "free-finished",
        "free when the read has ended unseen",
        free_finished,
    ),
    Scenario::both(
        "free-in-flight",
        "free with a read in flight; a neighbour reaps it",
        orphan,
    ),
    Scenario::both(
        "free-timed-out",
        "free after the time limit, the read still hanging",
        |h| {
            let (gate, id) = held_instance(h, 1, 1)?;
            h.check(id)?;
            h.check(id)?;
            h.expect(&[("returned", "down"), ("waiting", "1")]);
            reap(h, gate, id)
        },
    ),
    Scenario::both(
        "free-sync-timed-out",
        "the same after a synchronous check",
        |h| {
            let (gate, id) = held_instance(h, 1, 1)?;
            h.sync(true);
            h.check(id)?;
            h.expect(&[("returned", "down"), ("waiting", "1")]);
            h.sync(false);
            reap(h, gate, id)
        },
    ),
    Scenario::both(
        "orphans-hold-places",
        "orphans count as holders until they end",
        places,
    ),
    Scenario::both(
        "orphans-1023",
        "1023 orphans and one that ended leave the group",
        orphans_1023,
    ),
    Scenario::both(
        "orphans-1024",
        "the 1024th orphan ends the group",
        orphans_1024,
    ),
];

fn many(h: &mut Session, fd: RawFd, count: usize) -> Result<Vec<Id>> {
    let mut ids = Vec::new();
    h.bulk(&format!("init of {count} instances"), |h| {
        for _ in 0..count {
            ids.push(h.started(fd, 30)?);
        }
        Ok(())
    })?;
    Ok(ids)
}

fn free_all(h: &mut Session, ids: &[Id]) -> Result<()> {
    h.bulk(&format!("free of {} instances", ids.len()), |h| {
        for id in ids {
            h.free(*id)?;
        }
        Ok(())
    })
}

fn instances(h: &mut Session, count: usize, contexts: usize) -> Result<()> {
    let path = h.file_on("disk", "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let ids = many(h, fd, count)?;
    h.expect(&[("contexts", &contexts.to_string())]);
    let one_more = h.started(fd, 30)?;
    h.expect(&[("contexts", &(contexts + 1).to_string())]);
    h.sync(true);
    for id in [ids.first(), ids.last(), Some(&one_more)]
        .into_iter()
        .flatten()
    {
        h.verdict(*id)?;
        h.expect(&[("returned", "up")]);
    }
    h.bulk("check of all", |h| {
        for id in &ids {
            h.check(*id)?;
        }
        Ok(())
    })?;
    h.expect(&[("results", &format!("{count} × check → up"))]);
    h.free(one_more)?;
    free_all(h, &ids)?;
    // Freeing returns places, not contexts.
    h.expect(&[("contexts", &(contexts + 1).to_string())]);
    let again = many(h, fd, count + 1)?;
    h.expect(&[("contexts", &(contexts + 1).to_string())]);
    free_all(h, &again)?;
    h.reset()?;
    h.expect(&[("contexts", "0")]);
    Ok(())
}

fn init_fails(h: &mut Session) -> Result<()> {
    for _ in 0..3 {
        h.started(-1, 30)?;
        h.expect(&[("returned", "failed"), ("contexts", "1")]);
    }
    let path = h.file_on("disk", "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let ids = many(h, fd, 1024)?;
    h.expect(&[("contexts", "1")]);
    free_all(h, &ids)?;
    h.reset()?;
    h.expect(&[("contexts", "0")]);
    Ok(())
}

fn free_nothing(h: &mut Session) -> Result<()> {
    let path = h.file_on("disk", "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let never = h.instance(fd, 30)?;
    h.free(never)?;
    h.expect(&[("context", "null"), ("contexts", "0")]);
    h.check(never)?;
    h.expect(&[("returned", "unchecked"), ("msgid", "0")]);
    let id = h.started(fd, 30)?;
    h.verdict(id)?;
    h.free(id)?;
    h.expect(&[("context", "null"), ("flags", "none")]);
    h.free(id)?;
    h.expect(&[("context", "null"), ("flags", "none")]);
    for sync in [false, true] {
        h.sync(sync);
        h.check(id)?;
        h.expect(&[("returned", "unchecked"), ("msgid", "0"), ("log", "")]);
    }
    Ok(())
}

fn free_finished(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 3)?;
    h.check(id)?;
    h.answer(gate, 1, "data")?;
    // The completion waits in the ring: nobody has told the checker.
    h.free(id)?;
    h.expect(&[("took", "at once"), ("context", "null"), ("waiting", "0")]);
    let (other_gate, other) = held_instance(h, 2, 3)?;
    h.check(other)?;
    h.expect(&[("contexts", "1")]);
    h.answer(other_gate, 1, "data")?;
    h.check(other)?;
    h.free(other)?;
    h.reset()?;
    h.expect(&[("contexts", "0"), ("took", "at once")]);
    Ok(())
}

/// Frees an instance whose read hangs and lets another one see the end of that read.
fn reap(h: &mut Session, gate: crate::directio::session::Gate, id: Id) -> Result<()> {
    h.free(id)?;
    h.expect(&[
        ("took", "at once"),
        ("context", "null"),
        ("flags", "none"),
        ("waiting", "1"),
    ]);
    let (neighbours_gate, neighbour) = held_instance(h, 2, 3)?;
    h.check(neighbour)?;
    h.expect(&[("returned", "pending"), ("waiting", "2"), ("contexts", "1")]);
    h.answer(gate, 1, "data")?;
    h.check(neighbour)?;
    h.expect(&[("returned", "pending"), ("waiting", "1")]);
    h.answer(neighbours_gate, 1, "data")?;
    h.check(neighbour)?;
    h.expect(&[("returned", "up"), ("waiting", "0")]);
    h.free(neighbour)?;
    h.reset()?;
    h.expect(&[("contexts", "0"), ("took", "at once")]);
    Ok(())
}

fn orphan(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 3)?;
    h.check(id)?;
    h.expect(&[("returned", "pending"), ("waiting", "1")]);
    reap(h, gate, id)
}

fn places(h: &mut Session) -> Result<()> {
    let (gate, ids) = crowd(h, 1, 1024, 5)?;
    h.expect(&[("contexts", "1"), ("waiting", "1024")]);
    let (leavers, stayers) = ids.split_at(10);
    free_all(h, leavers)?;
    h.expect(&[("contexts", "1"), ("waiting", "1024")]);
    let (_other, fd) = held(h, 2)?;
    let next = h.started(fd, 5)?;
    h.expect(&[("contexts", "2")]);
    h.free(next)?;
    // The ten oldest reads are those of the instances that left.
    h.answer(gate, 10, "data")?;
    let Some(stayer) = stayers.first() else {
        return Ok(());
    };
    h.check(*stayer)?;
    h.expect(&[("returned", "pending"), ("waiting", "1014")]);
    // 1024 in the second group and ten in the first.
    let path = h.file_on("disk", "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let filled = many(h, fd, 1034)?;
    h.expect(&[("contexts", "2")]);
    let last = h.started(fd, 30)?;
    h.expect(&[("contexts", "3")]);
    h.free(last)?;
    free_all(h, &filled)?;
    h.answer(gate, 1014, "data")?;
    h.bulk("check of all who stayed", |h| {
        for id in stayers {
            h.check(*id)?;
        }
        Ok(())
    })?;
    h.expect(&[("results", "1014 × check → up")]);
    free_all(h, stayers)?;
    h.reset()?;
    h.expect(&[("contexts", "0")]);
    Ok(())
}

fn orphans_1023(h: &mut Session) -> Result<()> {
    let (gate, ids) = crowd(h, 1, 1024, 5)?;
    h.answer(gate, 1, "data")?;
    let Some((first, rest)) = ids.split_first() else {
        return Ok(());
    };
    h.check(*first)?;
    h.expect(&[("returned", "up"), ("waiting", "1023")]);
    free_all(h, rest)?;
    h.free(*first)?;
    h.expect(&[("contexts", "1"), ("took", "at once"), ("waiting", "1023")]);
    h.answer(gate, 1023, "data")?;
    let (_other, id) = held_instance(h, 2, 5)?;
    h.check(id)?;
    h.expect(&[("contexts", "1"), ("waiting", "1")]);
    h.free(id)
}

fn orphans_1024(h: &mut Session) -> Result<()> {
    let (gate, ids) = crowd(h, 1, 1024, 5)?;
    let Some((last, rest)) = ids.split_last() else {
        return Ok(());
    };
    free_all(h, rest)?;
    h.expect(&[("contexts", "1"), ("waiting", "1024")]);
    h.let_go_later(Duration::from_secs(2), gate, "data");
    // Nobody can use this group any more: C ends it, which waits for all its reads.
    h.free(*last)?;
    h.expect(&[("context", "null"), ("flags", "none")]);
    h.differs("I6", "took", "about 2 s", "at once");
    h.expect(&[("contexts", "0")]);
    h.differs("I6", "waiting", "0", "1024");
    h.let_go_unseen(gate, "data")?;
    h.reset()?;
    h.expect(&[("contexts", "0"), ("took", "at once"), ("waiting", "0")]);
    let (_other, id) = held_instance(h, 2, 5)?;
    h.check(id)?;
    h.expect(&[("contexts", "1"), ("waiting", "1")]);
    h.free(id)
}

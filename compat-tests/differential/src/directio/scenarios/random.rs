// SPDX-License-Identifier: LGPL-2.0-or-later

//! Random operations: whatever a host may do, in an order that only the seed decides. Every read hangs
//! until it is answered, so that nothing depends on speed.

use super::later::LINKED;
use super::prelude::*;

pub(super) const SCENARIOS: &[Scenario] = scenarios! {
    Both "random-1" "400 random operations on four instances" => |d| operations(d, 1);
    Both "random-2" "400 other ones" => |d| operations(d, 2);
    Both "random-3" "400 further ones" => |d| operations(d, 3);
    Both "random-4" "and 400 more" => |d| operations(d, 4);
    Later(LINKED) "later-random" "1200 random operations on four instances" => later_operations;
};

const PATHS: u64 = 4;

struct Path {
    gate: Gate,
    fd: RawFd,
    id: Option<Id>,
    /// Whether the last check returned PENDING.
    is_pending: bool,
    /// How many of its reads are in flight; more than one when instances were freed with one in flight.
    in_flight: u64,
}

/// Paths without instances.
fn paths(d: &mut Driver) -> Result<Vec<Path>> {
    let mut paths = Vec::new();
    for gate in 0..PATHS {
        let (gate, fd) = held(d, gate)?;
        paths.push(Path {
            gate,
            fd,
            id: None,
            is_pending: false,
            in_flight: 0,
        });
    }
    Ok(paths)
}

impl Path {
    fn check(&mut self, d: &mut Driver, id: Id, sync: bool) -> Result<()> {
        let before = d.in_flight()?;
        d.sync(sync);
        self.is_pending = d.check(id)?.state() == PENDING;
        d.sync(false);
        self.in_flight += d.in_flight()?.saturating_sub(before);
        Ok(())
    }

    /// Ends some of the reads, which must be in flight.
    fn end_reads(&mut self, d: &mut Driver) -> Result<()> {
        let how = match d.random(4) {
            0 => EIO,
            1 => Answer::Short(512),
            _ => DATA,
        };
        let count = 1 + d.random(self.in_flight);
        d.answer(self.gate, count, how)?;
        self.in_flight -= count;
        let label = format!("{count} reads end");
        d.note(&label, Observation::Note(format!("{how:?}")))
            .map(drop)
    }

    fn free(&mut self, d: &mut Driver) -> Result<()> {
        match self.id.take() {
            Some(id) => d.free(id).map(drop),
            None => Ok(()),
        }
    }
}

/// A random path.
fn any<'a>(d: &mut Driver, paths: &'a mut [Path]) -> Result<&'a mut Path> {
    let index = usize::try_from(d.random(PATHS)).unwrap_or(0);
    let none = || Trouble::Broken("no such path".to_owned());
    paths.get_mut(index).ok_or_else(none)
}

/// Frees all instances and ends all reads: nothing may be left.
fn finish(d: &mut Driver, mut paths: Vec<Path>) -> Result<()> {
    for path in &mut paths {
        path.free(d)?;
        if path.in_flight > 0 {
            d.answer(path.gate, path.in_flight, DATA)?;
        }
    }
    d.reset()?.contexts(0).in_flight(0).took(0);
    Ok(())
}

/// A time limit in checks. Not 0: on a busy machine ours could not tell whether the device or a worker
/// was late (A2 in the ledger).
fn limit(d: &mut Driver) -> u32 {
    1 + u32::try_from(d.random(3)).unwrap_or(0)
}

/// Synchronous checks have no time, except a few that wait for a second.
fn operations(d: &mut Driver, number: u64) -> Result<()> {
    // One seed must not give the same operations four times.
    for _ in 0..number {
        d.random(2);
    }
    let mut paths = paths(d)?;
    let mut waits = 2;
    for _ in 0..400 {
        let path = any(d, &mut paths)?;
        let Some(id) = path.id else {
            let limit = limit(d);
            let (id, seen) = d.init(path.fd, limit)?;
            seen.returned(Returned::Ok);
            path.id = Some(id);
            continue;
        };
        match d.random(20) {
            0..10 => path.check(d, id, false)?,
            10..12 => {
                d.checker(id)?.set_timeout(0);
                path.check(d, id, true)?;
                let limit = limit(d);
                d.checker(id)?.set_timeout(limit);
            }
            12 if waits > 0 => {
                waits -= 1;
                d.checker(id)?.set_timeout(1);
                path.check(d, id, true)?;
            }
            13..18 if path.in_flight > 0 => path.end_reads(d)?,
            18 => path.free(d)?,
            _ => {
                let limit = limit(d);
                d.checker(id)?.set_timeout(limit);
            }
        }
    }
    finish(d, paths)
}

/// Time limits are 0, or longer than the scenario.
fn later_operations(d: &mut Driver) -> Result<()> {
    let mut paths = paths(d)?;
    for _ in 0..1200 {
        let path = any(d, &mut paths)?;
        let limit = if d.random(3) == 0 { 0 } else { 1000 };
        let Some(id) = path.id else {
            path.id = Some(d.started(path.fd, limit)?);
            path.is_pending = false;
            continue;
        };
        match d.random(20) {
            0..6 => path.check(d, id, false)?,
            6..11 if path.is_pending => path.is_pending = d.pending(id)?.state() == PENDING,
            11..13 if path.is_pending => {
                d.need_wait(id)?;
            }
            13 => {
                d.checker(id)?.set_timeout(0);
                path.check(d, id, true)?;
            }
            14..18 if path.in_flight > 0 => path.end_reads(d)?,
            18 => path.free(d)?,
            _ => d.checker(id)?.set_timeout(limit),
        }
    }
    finish(d, paths)
}

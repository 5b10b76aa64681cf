//! Random walks: whatever a host may do, in an order that only the seed decides.

use super::{Scenario, held};
use crate::directio::session::{Gate, Id, Session};
use harness::Result;
use std::os::fd::RawFd;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::both("walk-1", "400 random calls on four instances", |h| {
        walk(h, 1)
    }),
    Scenario::both("walk-2", "400 other ones", |h| walk(h, 2)),
    Scenario::both("walk-3", "400 further ones", |h| walk(h, 3)),
    Scenario::both("walk-4", "and 400 more", |h| walk(h, 4)),
];

const STEPS: usize = 400;
const PATHS: u64 = 4;

/// One path of the walk.
struct Path {
    gate: Gate,
    fd: RawFd,
    id: Option<Id>,
    /// How many of its reads wait; more than one when instances were freed with one in flight.
    waiting: u64,
}

/// Every read is held until the walk answers it, so that nothing depends on how fast anything is.
/// Synchronous checks have no time, except a few that wait for a second.
fn walk(h: &mut Session, number: u64) -> Result<()> {
    // The same seed must not walk the same way four times.
    for _ in 0..number {
        h.random(2);
    }
    let mut paths = Vec::new();
    for gate in 0..PATHS {
        let (gate, fd) = held(h, gate)?;
        paths.push(Path {
            gate,
            fd,
            id: None,
            waiting: 0,
        });
    }
    let mut waits = 2;
    for _ in 0..STEPS {
        let index = usize::try_from(h.random(PATHS)).unwrap_or(0);
        let Some(path) = paths.get_mut(index) else {
            continue;
        };
        let Some(id) = path.id else {
            let limit = limit(h);
            path.id = Some(h.started(path.fd, limit)?);
            h.expect(&[("returned", "ok")]);
            continue;
        };
        match h.random(20) {
            0..10 => check(h, path, id, false)?,
            10..12 => {
                h.checker(id)?.set_timeout(0);
                check(h, path, id, true)?;
                let limit = limit(h);
                h.checker(id)?.set_timeout(limit);
            }
            12 if waits > 0 => {
                waits -= 1;
                h.checker(id)?.set_timeout(1);
                check(h, path, id, true)?;
            }
            13..18 if path.waiting > 0 => {
                let how = match h.random(4) {
                    0 => "error:5",
                    1 => "short:512",
                    _ => "data",
                };
                let count = 1 + h.random(path.waiting);
                h.answer(path.gate, count, how)?;
                path.waiting -= count;
                h.note(&format!("{count} reads end"), "how", how)?;
            }
            18 => {
                h.free(id)?;
                path.id = None;
            }
            _ => {
                let limit = limit(h);
                h.checker(id)?.set_timeout(limit);
            }
        }
    }
    for path in &mut paths {
        if let Some(id) = path.id.take() {
            h.free(id)?;
        }
        if path.waiting > 0 {
            h.answer(path.gate, path.waiting, "data")?;
        }
    }
    h.reset()?;
    h.expect(&[("contexts", "0"), ("waiting", "0"), ("took", "at once")]);
    Ok(())
}

/// A time limit in checks. Not none: on a busy machine ours could not say whether the device or a worker
/// was late (row A2).
fn limit(h: &mut Session) -> u32 {
    1 + u32::try_from(h.random(3)).unwrap_or(0)
}

fn check(h: &mut Session, path: &mut Path, id: Id, sync: bool) -> Result<()> {
    let before = h.waiting()?;
    h.sync(sync);
    h.check(id)?;
    h.sync(false);
    path.waiting += h.waiting()?.saturating_sub(before);
    Ok(())
}

//! Random operations: whatever a host may do, in an order that only the seed decides.

use super::prelude::*;

pub(super) const SCENARIOS: &[Scenario] = scenarios! {
    Both "random-1" "400 random calls on four instances" => |d| random(d, 1);
    Both "random-2" "400 other ones" => |d| random(d, 2);
    Both "random-3" "400 further ones" => |d| random(d, 3);
    Both "random-4" "and 400 more" => |d| random(d, 4);
};

const STEPS: usize = 400;
const PATHS: u64 = 4;

/// One path.
struct Path {
    gate: Gate,
    fd: RawFd,
    id: Option<Id>,
    /// How many of its reads are in flight; more than one when instances were freed with one in flight.
    in_flight: u64,
}

/// Every read hangs until it is answered, so that nothing depends on speed.
/// Synchronous checks have no time, except a few that wait for a second.
fn random(d: &mut Driver, number: u64) -> Result<()> {
    // One seed must not give the same operations four times.
    for _ in 0..number {
        d.random(2);
    }
    let mut paths = Vec::new();
    for gate in 0..PATHS {
        let (gate, fd) = held(d, gate)?;
        paths.push(Path {
            gate,
            fd,
            id: None,
            in_flight: 0,
        });
    }
    let mut waits = 2;
    for _ in 0..STEPS {
        let index = usize::try_from(d.random(PATHS)).unwrap_or(0);
        let Some(path) = paths.get_mut(index) else {
            continue;
        };
        let Some(id) = path.id else {
            let limit = limit(d);
            let (id, seen) = d.init(path.fd, limit)?;
            seen.returned(Returned::Ok);
            path.id = Some(id);
            continue;
        };
        match d.random(20) {
            0..10 => check(d, path, id, false)?,
            10..12 => {
                d.checker(id)?.set_timeout(0);
                check(d, path, id, true)?;
                let limit = limit(d);
                d.checker(id)?.set_timeout(limit);
            }
            12 if waits > 0 => {
                waits -= 1;
                d.checker(id)?.set_timeout(1);
                check(d, path, id, true)?;
            }
            13..18 if path.in_flight > 0 => {
                let how = match d.random(4) {
                    0 => EIO,
                    1 => Answer::Short(512),
                    _ => DATA,
                };
                let count = 1 + d.random(path.in_flight);
                d.answer(path.gate, count, how)?;
                path.in_flight -= count;
                d.note(
                    &format!("{count} reads end"),
                    Fact::Note(format!("{how:?}")),
                )?;
            }
            18 => {
                d.free(id)?;
                path.id = None;
            }
            _ => {
                let limit = limit(d);
                d.checker(id)?.set_timeout(limit);
            }
        }
    }
    for path in &mut paths {
        if let Some(id) = path.id.take() {
            d.free(id)?;
        }
        if path.in_flight > 0 {
            d.answer(path.gate, path.in_flight, DATA)?;
        }
    }
    d.reset()?.contexts(0).in_flight(0).took(0);
    Ok(())
}

/// A time limit in checks. Not none: on a busy machine ours could not say whether the device or a worker
/// was late (row A2).
fn limit(d: &mut Driver) -> u32 {
    1 + u32::try_from(d.random(3)).unwrap_or(0)
}

fn check(d: &mut Driver, path: &mut Path, id: Id, sync: bool) -> Result<()> {
    let before = d.in_flight()?;
    d.sync(sync);
    d.check(id)?;
    d.sync(false);
    path.in_flight += d.in_flight()?.saturating_sub(before);
    Ok(())
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Reads that hang, fail late or end at last: the asynchronous and the synchronous protocol.

use super::prelude::*;

pub(super) const SCENARIOS: &[Scenario] = scenarios! {
    Both "hang-async" "pending, down, and up when the read ends at last" => async_hang;
    Both "hang-asleep" "whether a check sleeps while the read hangs" => asleep;
    Both "hang-error" "a read that hangs, then fails" => |d| late(d, EIO, DOWN);
    Both "hang-enodev" "a read that hangs until the device is gone" => |d| late(d, Answer::Error(libc::ENODEV), DOWN);
    Both "hang-short" "a read that hangs, then falls short" => |d| late(d, Answer::Short(512), DOWN);
    Both "hang-nothing" "a read that hangs, then gives nothing" => |d| late(d, Answer::Short(0), DOWN);
    Both "fails-and-recovers" "EIO, then data, then EIO" => recovers;
    Both "timeout-0" "no time at all" => timeout_0;
    Both "timeout-1" "a time limit of one second" => |d| limited(d, 1);
    Both "timeout-5" "a time limit of five seconds" => |d| limited(d, 5);
    Both "timeout-int-max" "the longest time limit that upstream understands" => |d| endless(d, 0x7fff_ffff, false);
    Both "timeout-huge" "a time limit that upstream takes for a negative one" => |d| endless(d, 0x8000_0000, true);
    Both "timeout-max" "the longest time limit" => |d| endless(d, u32::MAX, true);
    Both "timeout-changes" "the time limit changes with a read in flight" => changes;
    Both "device-async" "a block device that hangs" => device_async;
    Both "device-fails" "a block device that fails and recovers" => device_fails;
};

fn async_hang(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 3)?;
    for _ in 0..3 {
        d.check(id)?.is(PENDING).in_flight(1);
    }
    for _ in 0..3 {
        d.check(id)?
            .is(DOWN)
            .in_flight(1)
            .line("directio: abort check on timeout");
    }
    d.note_reads(gate, 1)?;
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP).in_flight(0);
    d.note_reads(gate, 1)?;
    d.check(id)?.is(PENDING).in_flight(1);
    d.note_reads(gate, 2)?;
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP);
    d.free(id)?.freed().contexts(1);
    Ok(())
}

fn asleep(d: &mut Driver) -> Result<()> {
    const CHECKS: i64 = 20;
    let (_, id) = held_device_instance(d, 1, 100)?;
    d.check(id)?.is(PENDING);
    let mut slept = 0;
    d.count("checks", |d| {
        let before = voluntary_switches();
        for _ in 0..CHECKS {
            d.check(id)?;
        }
        slept = voluntary_switches() - before;
        Ok(())
    })?;
    let slept = match slept {
        0 => "in none".to_owned(),
        CHECKS.. => "in each".to_owned(),
        some => format!("{some} times"),
    };
    d.note("twenty checks: asleep", Observation::Note(slept))?
        .differs(
            "I15",
            Observation::Note("in each".to_owned()),
            Observation::Note("in none".to_owned()),
        );
    Ok(())
}

/// How often this thread has given up the processor to wait for something.
fn voluntary_switches() -> i64 {
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.voluntary_context_switches())
}

fn late(d: &mut Driver, how: Answer, verdict: State) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 2)?;
    for state in [PENDING, PENDING, DOWN] {
        d.check(id)?.is(state);
    }
    d.answer(gate, 1, how)?;
    d.check(id)?.is(verdict).in_flight(0);
    d.check(id)?.is(PENDING).in_flight(1);
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP);
    d.free(id).map(drop)
}

fn recovers(d: &mut Driver) -> Result<()> {
    let (gate, path) = d.gate(1)?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    let id = d.started(fd, 30)?;
    for sync in [false, true] {
        d.sync(sync);
        for (errno, state) in [
            (Some(libc::EIO), DOWN),
            (None, UP),
            (Some(libc::ENXIO), DOWN),
            (None, UP),
        ] {
            d.fail_reads(gate, errno)?;
            d.verdict(id)?.is(state);
        }
    }
    d.free(id).map(drop)
}

fn timeout_0(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_device_instance(d, 1, 0)?;
    for _ in 0..2 {
        d.check(id)?.is(DOWN).in_flight(1);
    }
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP);
    d.free(id).map(drop)
}

fn limited(d: &mut Driver, limit: u32) -> Result<()> {
    let (gate, id) = held_instance(d, 1, limit)?;
    for call in 0..limit + 2 {
        let state = if call < limit { PENDING } else { DOWN };
        d.check(id)?.is(state).in_flight(1);
    }
    d.answer(gate, 1, DATA)?;
    d.check(id)?;
    // The count begins anew with the next request.
    d.check(id)?.is(PENDING);
    d.answer(gate, 1, DATA)?;
    d.check(id)?;
    d.free(id).map(drop)
}

/// Upstream compares its count of calls with the time limit as a signed number, and a limit above 2³¹-1
/// with it is negative.
fn endless(d: &mut Driver, limit: u32, is_negative: bool) -> Result<()> {
    let (gate, id) = held_instance(d, 1, limit)?;
    for call in 0..3 {
        let seen = d.check(id)?;
        if is_negative {
            let log = |level| match call {
                0 => Log::called().starts(level),
                _ => Log::called(),
            };
            let ours = log(4).line(4, "directio: async io pending");
            seen.differs_in_state("I12", DOWN, PENDING).differs_in_log(
                "I12",
                log(3).aborts(),
                ours,
            );
        } else {
            seen.is(PENDING);
        }
    }
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP);
    d.free(id).map(drop)
}

fn changes(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 5)?;
    for (limit, state) in [
        (5, PENDING),
        (5, PENDING),
        (1, DOWN),
        (9, PENDING),
        (0, DOWN),
    ] {
        d.checker(id)?.set_timeout(limit);
        d.check(id)?.is(state);
    }
    d.answer(gate, 1, DATA)?;
    d.check(id)?;
    d.free(id).map(drop)
}

fn device_async(d: &mut Driver) -> Result<()> {
    let (gate, path) = d.gate_device(1, 512)?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    let id = d.started(fd, 2)?;
    d.verdict(id)?.is(UP);
    d.hold(gate)?;
    for state in [PENDING, PENDING, DOWN, DOWN] {
        d.check(id)?.is(state).in_flight(1);
    }
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP).in_flight(0);
    d.check(id)?.is(PENDING).in_flight(1);
    d.free(id)?.took(0).flags(0).in_flight(1);
    let again = d.started(fd, 2)?;
    d.check(again)?.is(PENDING).in_flight(2).contexts(1);
    d.answer(gate, 2, EIO)?;
    d.check(again)?.is(DOWN).in_flight(0);
    d.free(again).map(drop)
}

fn device_fails(d: &mut Driver) -> Result<()> {
    let (gate, path) = d.gate_device(1, 512)?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    let id = d.started(fd, 30)?;
    for sync in [false, true] {
        d.sync(sync);
        for (errno, state) in [
            (None, UP),
            (Some(libc::EIO), DOWN),
            (Some(libc::EIO), DOWN),
            (None, UP),
        ] {
            d.fail_reads(gate, errno)?;
            d.verdict(id)?.is(state);
        }
    }
    d.free(id).map(drop)
}

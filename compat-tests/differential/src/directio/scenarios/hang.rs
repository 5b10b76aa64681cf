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
    Both "timeout-int-max" "the longest time limit that C understands" => |d| endless(d, 0x7fff_ffff, false);
    Both "timeout-huge" "a time limit that C takes for a negative one" => |d| endless(d, 0x8000_0000, true);
    Both "timeout-max" "the longest time limit" => |d| endless(d, u32::MAX, true);
    Both "timeout-changes" "the time limit changes with a read in flight" => changes;
    Both "sync-hang" "a synchronous check waits its time, each time" => sync_hang;
    Both "sync-late" "the read ends while a synchronous check waits" => sync_late;
    Both "sync-late-error" "it fails while a synchronous check waits" => sync_late_error;
    Both "sync-timeout-0" "a synchronous check without time" => sync_timeout_0;
    Both "flip" "from asynchronous to synchronous and back, in flight" => flip;
    Both "neighbours" "one instance takes the other's completion" => neighbours;
    Both "neighbours-sync" "the same while one waits synchronously" => neighbours_sync;
    Both "neighbours-257" "one instance takes 257 completions" => neighbours_257;
    Both "healthy-beside-hung" "a hung device holds up no other" => healthy_beside;
    Both "interrupted" "a signal during a synchronous wait" => interrupted;
    Both "interrupted-late" "a signal, and then the read ends" => interrupted_late;
    Both "device-async" "a block device that hangs" => device_async;
    Both "device-sync" "a block device that hangs, synchronously" => device_sync;
    Both "device-fails" "a block device that fails and recovers" => device_fails;
    Both "threads" "calls from different threads" => threads;
    Both "fork" "a check in a forked child" => fork;
    Both "verbosity" "lines above the host's verbosity are not logged" => verbosity;
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
    d.note("twenty checks: asleep", Fact::Note(slept))?.differs(
        "I15",
        Fact::Note("in each".to_owned()),
        Fact::Note("in none".to_owned()),
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

/// C compares its count of calls with the time limit as a signed number, and a limit above 2³¹-1
/// with it is negative.
fn endless(d: &mut Driver, limit: u32, negative_in_c: bool) -> Result<()> {
    let (gate, id) = held_instance(d, 1, limit)?;
    for call in 0..3 {
        let seen = d.check(id)?;
        if negative_in_c {
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

fn sync_hang(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 2)?;
    d.sync(true);
    for _ in 0..2 {
        d.check(id)?
            .is(DOWN)
            .took(2)
            .in_flight(1)
            .line("directio: abort check on timeout");
    }
    d.note_reads(gate, 1)?;
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP).took(0);
    d.note_reads(gate, 1)?;
    d.free(id).map(drop)
}

fn sync_late(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 5)?;
    d.sync(true);
    d.let_go_later(2, gate, DATA);
    d.check(id)?.is(UP).took(2);
    d.check(id)?.is(UP).took(0);
    d.free(id).map(drop)
}

fn sync_late_error(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 5)?;
    d.sync(true);
    d.let_go_later(1, gate, EIO);
    d.check(id)?.is(DOWN).took(1);
    d.free(id).map(drop)
}

fn sync_timeout_0(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 0)?;
    d.sync(true);
    for _ in 0..2 {
        d.check(id)?.is(DOWN).took(0).in_flight(1);
    }
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP);
    d.free(id).map(drop)
}

fn flip(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 2)?;
    d.check(id)?.is(PENDING);
    d.sync(true);
    d.check(id)?.is(DOWN).took(2);
    d.sync(false);
    // The synchronous call was counted as well.
    d.check(id)?.is(DOWN).took(0);
    d.note_reads(gate, 1)?;
    d.sync(true);
    d.let_go_later(1, gate, DATA);
    d.check(id)?.is(UP).took(1);
    d.sync(false);
    d.verdict(id)?.is(UP);
    d.hold(gate)?;
    d.check(id)?.is(PENDING);
    d.answer(gate, 1, DATA)?;
    d.sync(true);
    d.check(id)?.is(UP).in_flight(0);
    d.free(id).map(drop)
}

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
    // Ended, but nobody has looked: free must not take it for a read in flight.
    d.free(a)?;
    d.check(b)?;
    d.answer(gate_b, 1, DATA)?;
    d.check(b)?;
    d.free(b).map(drop)
}

fn neighbours_sync(d: &mut Driver) -> Result<()> {
    let (gate_a, a) = held_instance(d, 1, 5)?;
    let (gate_b, b) = held_instance(d, 2, 4)?;
    d.check(a)?;
    d.sync(true);
    d.let_go_later(1, gate_a, DATA);
    d.let_go_later(3, gate_b, DATA);
    // The neighbour's completion after one second must not end the wait.
    d.check(b)?.is(UP).took(3);
    d.check(a)?.is(UP).took(0);
    d.note_reads(gate_a, 1)?;
    d.free(a)?;
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

/// What upstream logs when a signal ends its wait. It prints the text of an errno that libaio does not
/// set.
fn interrupted_log() -> Log {
    let text = "directio: async io getevents returned -4 (errno=Success)";
    let log = Log::called_sync(true).starts(3);
    log.line(3, text).aborts()
}

fn interrupted(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 3)?;
    d.sync(true);
    d.interrupt_after(1);
    let ours = Log::called_sync(true).starts(4).aborts();
    d.check(id)?
        .is(DOWN)
        .differs_in_time("I4", 1, 3)
        .differs_in_log("I4", interrupted_log(), ours);
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP);
    d.free(id).map(drop)
}

fn interrupted_late(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 5)?;
    d.sync(true);
    d.interrupt_after(1);
    d.let_go_later(2, gate, DATA);
    let ours = Log::called_sync(true).starts(4).finishes(4, 4096);
    d.check(id)?
        .differs_in_state("I4", DOWN, UP)
        .differs_in_time("I4", 1, 2)
        .differs_in_flight("I4", 1, 0)
        .differs_in_log("I4", interrupted_log(), ours);
    Ok(())
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

fn device_sync(d: &mut Driver) -> Result<()> {
    let (gate, path) = d.gate_device(1, 4096)?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    let id = d.started(fd, 2)?;
    d.sync(true);
    d.verdict(id)?.is(UP);
    d.hold(gate)?;
    d.check(id)?.is(DOWN).took(2).in_flight(1);
    d.let_go_later(1, gate, DATA);
    d.check(id)?.is(UP).took(1);
    d.free(id).map(drop)
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
    // AIO contexts belong to the parent: C cannot submit anything in the child, ours makes a context.
    d.sync(true);
    let log = |level| Log::called_sync(true).starts(level);
    d.check_in_child(id)?
        .differs(
            "I17",
            Fact::Returned(State::UNCHECKED.into()),
            Fact::Returned(UP.into()),
        )
        .differs("I17", Fact::Msgid(100), Fact::Msgid(4))
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

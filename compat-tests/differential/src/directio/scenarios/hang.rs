//! Reads that hang, fail late or end at last: the asynchronous and the synchronous protocol.

use super::{Scenario, crowd, held_device_instance, held_instance};
use crate::directio::session::Session;
use harness::Result;
use std::time::Duration;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::both(
        "hang-async",
        "pending, down, and up when the read ends at last",
        async_hang,
    ),
    Scenario::both(
        "hang-asleep",
        "whether a check sleeps while the read hangs",
        asleep,
    ),
    Scenario::both("hang-error", "a read that hangs, then fails", |h| {
        late(h, "error:5", "down")
    }),
    Scenario::both(
        "hang-enodev",
        "a read that hangs until the device is gone",
        |h| late(h, "error:19", "down"),
    ),
    Scenario::both("hang-short", "a read that hangs, then falls short", |h| {
        late(h, "short:512", "down")
    }),
    Scenario::both(
        "hang-nothing",
        "a read that hangs, then gives nothing",
        |h| late(h, "short:0", "down"),
    ),
    Scenario::both("fails-and-recovers", "EIO, then data, then EIO", recovers),
    Scenario::both("timeout-0", "no time at all", timeout_0),
    Scenario::both("timeout-1", "a time limit of one second", |h| limited(h, 1)),
    Scenario::both("timeout-5", "a time limit of five seconds", |h| {
        limited(h, 5)
    }),
    Scenario::both(
        "timeout-int-max",
        "the longest time limit that C understands",
        |h| endless(h, 0x7fff_ffff, false),
    ),
    Scenario::both(
        "timeout-huge",
        "a time limit that C takes for a negative one",
        |h| endless(h, 0x8000_0000, true),
    ),
    Scenario::both("timeout-max", "the longest time limit", |h| {
        endless(h, u32::MAX, true)
    }),
    Scenario::both(
        "timeout-changes",
        "the time limit changes with a read in flight",
        changes,
    ),
    Scenario::both(
        "sync-hang",
        "a synchronous check waits its time, each time",
        sync_hang,
    ),
    Scenario::both(
        "sync-late",
        "the read ends while a synchronous check waits",
        sync_late,
    ),
    Scenario::both(
        "sync-late-error",
        "it fails while a synchronous check waits",
        sync_late_error,
    ),
    Scenario::both(
        "sync-timeout-0",
        "a synchronous check without time",
        sync_timeout_0,
    ),
    Scenario::both(
        "flip",
        "from asynchronous to synchronous and back, in flight",
        flip,
    ),
    Scenario::both(
        "neighbours",
        "one instance takes the other's completion",
        neighbours,
    ),
    Scenario::both(
        "neighbours-sync",
        "the same while one waits synchronously",
        neighbours_sync,
    ),
    Scenario::both(
        "neighbours-257",
        "one instance takes 257 completions",
        neighbours_257,
    ),
    Scenario::both(
        "healthy-beside-hung",
        "a hung device holds up no other",
        healthy_beside,
    ),
    Scenario::both(
        "interrupted",
        "a signal during a synchronous wait",
        interrupted,
    ),
    Scenario::both(
        "interrupted-late",
        "a signal, and then the read ends",
        interrupted_late,
    ),
    Scenario::both("device-async", "a block device that hangs", device_async),
    Scenario::both(
        "device-sync",
        "a block device that hangs, synchronously",
        device_sync,
    ),
    Scenario::both(
        "device-fails",
        "a block device that fails and recovers",
        device_fails,
    ),
    Scenario::both("threads", "calls from different threads", threads),
    Scenario::both("fork", "a check in a forked child", fork),
    Scenario::both(
        "verbosity",
        "lines above the host's verbosity are not logged",
        verbosity,
    ),
];

fn async_hang(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 3)?;
    for _ in 0..3 {
        h.check(id)?;
        h.expect(&[("returned", "pending"), ("msgid", "101"), ("waiting", "1")]);
    }
    for _ in 0..3 {
        h.check(id)?;
        h.expect(&[("returned", "down"), ("msgid", "5"), ("waiting", "1")]);
        h.expect_line("directio: abort check on timeout");
    }
    h.note_reads(gate, 1)?;
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up"), ("msgid", "4"), ("waiting", "0")]);
    h.note_reads(gate, 1)?;
    h.check(id)?;
    h.expect(&[("returned", "pending"), ("waiting", "1")]);
    h.note_reads(gate, 2)?;
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up")]);
    h.free(id)?;
    h.expect(&[("flags", "none"), ("context", "null"), ("contexts", "1")]);
    Ok(())
}

fn asleep(h: &mut Session) -> Result<()> {
    const CHECKS: i64 = 20;
    let (_, id) = held_device_instance(h, 1, 100)?;
    h.check(id)?;
    h.expect(&[("returned", "pending")]);
    let mut slept = 0;
    h.bulk("checks", |h| {
        let before = voluntary_switches();
        for _ in 0..CHECKS {
            h.check(id)?;
        }
        slept = voluntary_switches() - before;
        Ok(())
    })?;
    let slept = match slept {
        0 => "in none".to_owned(),
        CHECKS.. => "in each".to_owned(),
        some => format!("{some} times"),
    };
    h.note("twenty looks", "asleep", &slept)?;
    h.differs("I15", "asleep", "in each", "in none");
    Ok(())
}

/// How often this thread has given the processor away to wait for something.
fn voluntary_switches() -> i64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills in one rusage, of which all zeros is a value, too.
    unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init().ru_nvcsw
    }
}

fn late(h: &mut Session, how: &str, verdict: &str) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 2)?;
    for state in ["pending", "pending", "down"] {
        h.check(id)?;
        h.expect(&[("returned", state)]);
    }
    h.answer(gate, 1, how)?;
    h.check(id)?;
    h.expect(&[("returned", verdict), ("waiting", "0")]);
    h.check(id)?;
    h.expect(&[("returned", "pending"), ("waiting", "1")]);
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up")]);
    h.free(id)
}

fn recovers(h: &mut Session) -> Result<()> {
    let (gate, path) = h.gate(1)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 30)?;
    for sync in [false, true] {
        h.sync(sync);
        for (errno, state) in [(5, "down"), (0, "up"), (6, "down"), (0, "up")] {
            h.fail_reads(gate, errno)?;
            h.verdict(id)?;
            h.expect(&[("returned", state)]);
        }
    }
    h.free(id)
}

fn timeout_0(h: &mut Session) -> Result<()> {
    let (gate, id) = held_device_instance(h, 1, 0)?;
    for _ in 0..2 {
        h.check(id)?;
        h.expect(&[("returned", "down"), ("waiting", "1")]);
    }
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up")]);
    h.free(id)
}

fn limited(h: &mut Session, limit: u32) -> Result<()> {
    let (gate, id) = held_instance(h, 1, limit)?;
    for call in 0..limit + 2 {
        h.check(id)?;
        let state = if call < limit { "pending" } else { "down" };
        h.expect(&[("returned", state), ("waiting", "1")]);
    }
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    // The count begins anew with the next request.
    h.check(id)?;
    h.expect(&[("returned", "pending")]);
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.free(id)
}

/// C compares its count of calls with the time limit as a signed number, and a limit above 2³¹-1
/// with it is negative.
fn endless(h: &mut Session, limit: u32, negative_in_c: bool) -> Result<()> {
    let (gate, id) = held_instance(h, 1, limit)?;
    for call in 0..3 {
        h.check(id)?;
        if negative_in_c {
            h.differs("I12", "returned", "down", "pending");
            h.differs("I12", "msgid", "5", "101");
            h.differs("I12", "text", " reports path is down", " is waiting on aio");
            let start = |level| {
                if call == 0 {
                    format!("{level} directio: starting new request\n")
                } else {
                    String::new()
                }
            };
            let called = "4 directio: called for <device>\n";
            h.differs(
                "I12",
                "log",
                &format!("{called}{}3 directio: abort check on timeout", start(3)),
                &format!("{called}{}4 directio: async io pending", start(4)),
            );
        } else {
            h.expect(&[("returned", "pending")]);
        }
    }
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up")]);
    h.free(id)
}

fn changes(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 5)?;
    for (limit, state) in [
        (5, "pending"),
        (5, "pending"),
        (1, "down"),
        (9, "pending"),
        (0, "down"),
    ] {
        h.checker(id)?.set_timeout(limit);
        h.check(id)?;
        h.expect(&[("returned", state)]);
    }
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.free(id)
}

fn sync_hang(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 2)?;
    h.sync(true);
    for _ in 0..2 {
        h.check(id)?;
        h.expect(&[
            ("returned", "down"),
            ("msgid", "5"),
            ("took", "about 2 s"),
            ("waiting", "1"),
        ]);
        h.expect_line("directio: abort check on timeout");
    }
    h.note_reads(gate, 1)?;
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up"), ("took", "at once")]);
    h.note_reads(gate, 1)?;
    h.free(id)
}

fn sync_late(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 5)?;
    h.sync(true);
    h.let_go_later(Duration::from_secs(2), gate, "data");
    h.check(id)?;
    h.expect(&[("returned", "up"), ("took", "about 2 s")]);
    h.check(id)?;
    h.expect(&[("returned", "up"), ("took", "at once")]);
    h.free(id)
}

fn sync_late_error(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 5)?;
    h.sync(true);
    h.let_go_later(Duration::from_secs(1), gate, "error:5");
    h.check(id)?;
    h.expect(&[("returned", "down"), ("took", "about 1 s")]);
    h.free(id)
}

fn sync_timeout_0(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 0)?;
    h.sync(true);
    for _ in 0..2 {
        h.check(id)?;
        h.expect(&[("returned", "down"), ("took", "at once"), ("waiting", "1")]);
    }
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up")]);
    h.free(id)
}

fn flip(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 2)?;
    h.check(id)?;
    h.expect(&[("returned", "pending")]);
    h.sync(true);
    h.check(id)?;
    h.expect(&[("returned", "down"), ("took", "about 2 s")]);
    h.sync(false);
    // The synchronous call was counted as well.
    h.check(id)?;
    h.expect(&[("returned", "down"), ("took", "at once")]);
    h.note_reads(gate, 1)?;
    h.sync(true);
    h.let_go_later(Duration::from_secs(1), gate, "data");
    h.check(id)?;
    h.expect(&[("returned", "up"), ("took", "about 1 s")]);
    h.sync(false);
    h.verdict(id)?;
    h.expect(&[("returned", "up")]);
    h.hold(gate)?;
    h.check(id)?;
    h.expect(&[("returned", "pending")]);
    h.answer(gate, 1, "data")?;
    h.sync(true);
    h.check(id)?;
    h.expect(&[("returned", "up"), ("waiting", "0")]);
    h.free(id)
}

fn neighbours(h: &mut Session) -> Result<()> {
    let (gate_a, a) = held_instance(h, 1, 5)?;
    let (gate_b, b) = held_instance(h, 2, 5)?;
    h.check(a)?;
    h.check(b)?;
    h.expect(&[("waiting", "2"), ("contexts", "1")]);
    h.answer(gate_a, 1, "data")?;
    h.check(b)?;
    h.expect(&[("returned", "pending")]);
    h.check(a)?;
    h.expect(&[("returned", "up"), ("waiting", "1")]);
    h.note_reads(gate_a, 1)?;
    h.answer(gate_b, 1, "error:5")?;
    h.check(a)?;
    h.expect(&[("returned", "pending"), ("waiting", "1")]);
    h.check(b)?;
    h.expect(&[("returned", "down")]);
    h.note_reads(gate_b, 1)?;
    h.answer(gate_a, 1, "data")?;
    // Ended, but nobody has looked: free must not take it for a read in flight.
    h.free(a)?;
    h.check(b)?;
    h.answer(gate_b, 1, "data")?;
    h.check(b)?;
    h.free(b)
}

fn neighbours_sync(h: &mut Session) -> Result<()> {
    let (gate_a, a) = held_instance(h, 1, 5)?;
    let (gate_b, b) = held_instance(h, 2, 4)?;
    h.check(a)?;
    h.sync(true);
    h.let_go_later(Duration::from_secs(1), gate_a, "data");
    h.let_go_later(Duration::from_secs(3), gate_b, "data");
    // The neighbour's completion after one second must not end the wait.
    h.check(b)?;
    h.expect(&[("returned", "up"), ("took", "about 3 s")]);
    h.check(a)?;
    h.expect(&[("returned", "up"), ("took", "at once")]);
    h.note_reads(gate_a, 1)?;
    h.free(a)?;
    h.free(b)
}

fn neighbours_257(h: &mut Session) -> Result<()> {
    let (gate, ids) = crowd(h, 1, 257, 5)?;
    h.expect(&[("waiting", "257"), ("contexts", "1")]);
    h.answer(gate, 257, "data")?;
    let Some((first, rest)) = ids.split_first() else {
        return Ok(());
    };
    h.check(*first)?;
    h.expect(&[("returned", "up")]);
    h.bulk("check of all others", |h| {
        for id in rest {
            h.check(*id)?;
        }
        Ok(())
    })?;
    h.expect(&[("results", "256 × check → up"), ("waiting", "0")]);
    h.note_reads(gate, 257)?;
    h.bulk("free of all", |h| {
        for id in &ids {
            h.free(*id)?;
        }
        Ok(())
    })
}

fn healthy_beside(h: &mut Session) -> Result<()> {
    let (_gate, hung) = held_instance(h, 1, 3)?;
    let (_open, path) = h.gate(2)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let healthy = h.started(fd, 3)?;
    for _ in 0..5 {
        h.check(hung)?;
        h.verdict(healthy)?;
        h.expect(&[("returned", "up"), ("took", "at once"), ("waiting", "1")]);
    }
    h.sync(true);
    h.verdict(healthy)?;
    h.expect(&[("returned", "up"), ("took", "at once")]);
    h.free(healthy)?;
    h.free(hung)?;
    h.expect(&[("took", "at once")]);
    Ok(())
}

const ABORTED: &str = "directio: abort check on timeout";

fn interrupted(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 3)?;
    h.sync(true);
    h.interrupt_after(Duration::from_secs(1));
    h.check(id)?;
    h.expect(&[("returned", "down")]);
    h.differs("I4", "took", "about 1 s", "about 3 s");
    let begin = |level: u32| {
        format!(
            "4 directio: called for <device>\n4 directio: called in synchronous mode\n\
             {level} directio: starting new request\n"
        )
    };
    // C looks up the text of an errno that libaio does not set.
    let c = format!(
        "{}3 directio: async io getevents returned -4 (errno=Success)\n3 {ABORTED}",
        begin(3)
    );
    h.differs("I4", "log", &c, &format!("{}3 {ABORTED}", begin(4)));
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up")]);
    h.free(id)
}

fn interrupted_late(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 5)?;
    h.sync(true);
    h.interrupt_after(Duration::from_secs(1));
    h.let_go_later(Duration::from_secs(2), gate, "data");
    h.check(id)?;
    h.differs("I4", "returned", "down", "up");
    h.differs("I4", "msgid", "5", "4");
    h.differs("I4", "text", " reports path is down", " reports path is up");
    h.differs("I4", "took", "about 1 s", "about 2 s");
    h.differs("I4", "waiting", "1", "0");
    let begin = |level: u32| {
        format!(
            "4 directio: called for <device>\n4 directio: called in synchronous mode\n\
             {level} directio: starting new request\n"
        )
    };
    let c = format!(
        "{}3 directio: async io getevents returned -4 (errno=Success)\n3 {ABORTED}",
        begin(3)
    );
    h.differs(
        "I4",
        "log",
        &c,
        &format!("{}4 directio: io finished 4096/0", begin(4)),
    );
    Ok(())
}

fn device_async(h: &mut Session) -> Result<()> {
    let (gate, path) = h.gate_device(1, 512)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 2)?;
    h.verdict(id)?;
    h.expect(&[("returned", "up")]);
    h.hold(gate)?;
    for state in ["pending", "pending", "down", "down"] {
        h.check(id)?;
        h.expect(&[("returned", state), ("waiting", "1")]);
    }
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up"), ("waiting", "0")]);
    h.check(id)?;
    h.expect(&[("returned", "pending"), ("waiting", "1")]);
    h.free(id)?;
    h.expect(&[("took", "at once"), ("flags", "none"), ("waiting", "1")]);
    let again = h.started(fd, 2)?;
    h.check(again)?;
    h.expect(&[("returned", "pending"), ("waiting", "2"), ("contexts", "1")]);
    h.answer(gate, 2, "error:5")?;
    h.check(again)?;
    h.expect(&[("returned", "down"), ("waiting", "0")]);
    h.free(again)
}

fn device_sync(h: &mut Session) -> Result<()> {
    let (gate, path) = h.gate_device(1, 4096)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 2)?;
    h.sync(true);
    h.verdict(id)?;
    h.expect(&[("returned", "up")]);
    h.hold(gate)?;
    h.check(id)?;
    h.expect(&[
        ("returned", "down"),
        ("took", "about 2 s"),
        ("waiting", "1"),
    ]);
    h.let_go_later(Duration::from_secs(1), gate, "data");
    h.check(id)?;
    h.expect(&[("returned", "up"), ("took", "about 1 s")]);
    h.free(id)
}

fn device_fails(h: &mut Session) -> Result<()> {
    let (gate, path) = h.gate_device(1, 512)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 30)?;
    for sync in [false, true] {
        h.sync(sync);
        for (errno, state) in [(0, "up"), (5, "down"), (5, "down"), (0, "up")] {
            h.fail_reads(gate, errno)?;
            h.verdict(id)?;
            h.expect(&[("returned", state)]);
        }
    }
    h.free(id)
}

fn threads(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 3)?;
    h.check_on_thread(id)?;
    h.expect(&[("returned", "pending"), ("waiting", "1")]);
    h.check(id)?;
    h.answer(gate, 1, "data")?;
    h.check_on_thread(id)?;
    h.expect(&[("returned", "up")]);
    h.check_on_thread(id)?;
    h.free(id)?;
    h.expect(&[("took", "at once")]);
    Ok(())
}

fn fork(h: &mut Session) -> Result<()> {
    let (gate, path) = h.gate(1)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 3)?;
    // AIO contexts belong to the parent: C cannot submit anything in the child, ours makes a context.
    h.sync(true);
    h.check_in_child(id)?;
    h.expect(&[("child's end", "0")]);
    h.differs("I17", "returned", "unchecked", "up");
    h.differs("I17", "msgid", "100", "4");
    let begin = |level: u32| {
        format!(
            "4 directio: called for <device>\n4 directio: called in synchronous mode\n\
             {level} directio: starting new request\n"
        )
    };
    let c = format!("{}3 directio: io_submit error 0", begin(3));
    let ours = format!("{}4 directio: io finished 4096/0", begin(4));
    h.differs("I17", "log", &c, &ours);
    h.sync(false);
    h.hold(gate)?;
    h.check(id)?;
    h.expect(&[("returned", "pending"), ("waiting", "1")]);
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up")]);
    h.free(id)
}

fn verbosity(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 4)?;
    for level in 0..=4 {
        harness::host::set_verbosity(level);
        h.check(id)?;
        if level == 3 {
            h.differs("G1", "log", "3 directio: async io pending", "");
        }
    }
    harness::host::set_verbosity(3);
    h.check(id)?;
    h.expect(&[("log", &format!("3 {ABORTED}"))]);
    harness::host::set_verbosity(2);
    h.check(id)?;
    h.expect(&[("log", "")]);
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up"), ("log", "")]);
    h.free(id)
}

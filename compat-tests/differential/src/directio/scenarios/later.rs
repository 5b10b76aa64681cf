//! Hosts of 0.11.0 and later, where `libcheck_check` starts and `libcheck_pending` collects: what
//! our plugin must do there, by the rules of those releases' checker.

use super::{Scenario, crowd, held, held_instance};
use crate::directio::host::Host;
use crate::directio::session::{Gate, Id, Session};
use harness::Result;
use harness::abi::Abi;
use harness::state::State;
use std::os::fd::RawFd;
use std::time::Duration;

const LATER: &[Host] = &[
    Host::C,
    Host::CPrime,
    Host::D,
    Host::Assuming(Abi::V0_11),
    Host::Assuming(Abi::V0_15),
];

/// Those that can ask for synchronous checks: without `checker_is_sync` a host cannot.
const LINKED: &[Host] = &[Host::C, Host::CPrime, Host::D];

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::later(
        "later-async",
        "start, look, look again, collect",
        LATER,
        start_and_collect,
    ),
    Scenario::later(
        "later-tick",
        "the host's own tick on devices that answer",
        LATER,
        ticks,
    ),
    Scenario::later(
        "later-log",
        "every line of a check and its level",
        &[Host::C, Host::D],
        lines,
    ),
    Scenario::later(
        "later-deadline",
        "a time limit in seconds, not in calls",
        LATER,
        deadline,
    ),
    Scenario::later("later-timeout-0", "no time at all", LINKED, timeout_0),
    Scenario::later(
        "later-huge-timeout",
        "time limits above 2³¹-1",
        LATER,
        huge_timeout,
    ),
    Scenario::later(
        "later-deadline-stays",
        "the limit set at submission holds",
        LATER,
        stays,
    ),
    Scenario::later(
        "later-sync",
        "a synchronous check waits its time",
        LINKED,
        sync,
    ),
    Scenario::later(
        "later-flip",
        "from asynchronous to synchronous and back",
        LINKED,
        flip,
    ),
    Scenario::later(
        "later-interrupted",
        "a signal during a synchronous wait",
        LINKED,
        interrupted,
    ),
    Scenario::later(
        "later-idle",
        "pending and need_wait with nothing in flight",
        LATER,
        idle,
    ),
    Scenario::later(
        "later-neighbours",
        "one takes the other's completion",
        LATER,
        neighbours,
    ),
    Scenario::later(
        "later-257",
        "one look takes 257 completions",
        LATER,
        neighbours_257,
    ),
    Scenario::later(
        "later-submit-fails",
        "a read that cannot be started",
        LATER,
        submit_fails,
    ),
    Scenario::later("later-free", "free with a read in flight", LATER, free),
    Scenario::later(
        "later-reset-orphan",
        "reset over a read that hangs",
        LATER,
        reset_over_orphan,
    ),
    Scenario::later(
        "later-reset-in-flight",
        "the same, of a living instance",
        LATER,
        reset_in_flight,
    ),
    Scenario::later(
        "later-walk",
        "some 400 random calls on four instances",
        LINKED,
        walk,
    ),
    Scenario::later("later-1025", "1025 instances", LATER, instances),
    Scenario::later("later-orphans-1024", "1024 orphans", LATER, orphans_1024),
    Scenario::later(
        "later-device",
        "a block device that hangs, fails, recovers",
        LATER,
        device,
    ),
    Scenario::later(
        "later-child",
        "a check in a forked child, without a map",
        LINKED,
        child,
    ),
    Scenario::later(
        "later-large-blocks",
        "blocks of 8192 bytes",
        LATER,
        large_blocks,
    ),
];

/// `libcheck_check`, which must leave the verdict open without waiting.
fn start(h: &mut Session, id: Id) -> Result<()> {
    h.check(id)?;
    h.expect(&[
        ("returned", "pending"),
        ("msgid", "101"),
        ("took", "at once"),
    ]);
    Ok(())
}

/// `libcheck_pending`, with the state and message it must give.
fn collect(h: &mut Session, id: Id, state: &str, msgid: &str) -> Result<()> {
    h.pending(id)?;
    h.expect(&[("returned", state), ("msgid", msgid), ("took", "at once")]);
    Ok(())
}

fn need_wait(h: &mut Session, id: Id, answer: &str) -> Result<()> {
    h.need_wait(id)?;
    h.expect(&[("returned", answer)]);
    Ok(())
}

fn start_and_collect(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 30)?;
    h.expect(&[
        ("returned", "ok"),
        ("context", "set"),
        ("flags", "direct"),
        ("contexts", "1"),
    ]);
    need_wait(h, id, "no")?;
    start(h, id)?;
    h.expect(&[("waiting", "1")]);
    need_wait(h, id, "yes")?;
    need_wait(h, id, "yes")?;
    collect(h, id, "pending", "101")?;
    need_wait(h, id, "no")?;
    // The host's next tick: the same read, and no wait for it.
    start(h, id)?;
    h.expect(&[("waiting", "1")]);
    need_wait(h, id, "no")?;
    collect(h, id, "pending", "101")?;
    h.answer(gate, 1, "data")?;
    collect(h, id, "up", "4")?;
    h.expect(&[("waiting", "0")]);
    need_wait(h, id, "no")?;
    h.note_reads(gate, 1)?;
    start(h, id)?;
    h.note_reads(gate, 2)?;
    need_wait(h, id, "yes")?;
    h.answer(gate, 1, "error:5")?;
    collect(h, id, "down", "5")?;
    start(h, id)?;
    h.answer(gate, 1, "short:512")?;
    collect(h, id, "down", "5")?;
    // check itself does not look at the ring: only pending does.
    start(h, id)?;
    h.answer(gate, 1, "data")?;
    start(h, id)?;
    h.note_reads(gate, 4)?;
    collect(h, id, "up", "4")?;
    h.free(id)?;
    h.expect(&[("flags", "none"), ("context", "null"), ("took", "at once")]);
    h.reset()?;
    h.expect(&[("contexts", "0")]);
    Ok(())
}

fn ticks(h: &mut Session) -> Result<()> {
    let path = h.loop_device(1 << 20, 512, false)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 30)?;
    for mode in [false, true, false] {
        h.sync(mode);
        h.verdict(id)?;
        h.expect(&[("returned", "up"), ("msgid", "4"), ("flags", "direct")]);
    }
    h.free(id)?;
    let path = h.loop_device(0, 512, false)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 30)?;
    h.verdict(id)?;
    h.expect(&[("returned", "down"), ("msgid", "5")]);
    h.free(id)
}

fn lines(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 1)?;
    let called = "4 directio: called for <device>";
    h.check(id)?;
    h.expect(&[(
        "log",
        &format!("{called}\n4 directio: starting new request"),
    )]);
    h.pending(id)?;
    h.expect(&[("log", "4 directio: async io pending")]);
    std::thread::sleep(Duration::from_millis(1100));
    h.check(id)?;
    h.expect(&[("log", called)]);
    h.pending(id)?;
    h.expect(&[("log", "3 directio: abort check on timeout")]);
    h.answer(gate, 1, "error:5")?;
    h.pending(id)?;
    let failed = format!("4 directio: io finished {}/0", -5_i64 as u64);
    h.expect(&[("log", &failed)]);
    h.sync(true);
    h.check(id)?;
    h.expect(&[(
        "log",
        &format!(
            "{called}\n4 directio: called in synchronous mode\n4 directio: starting new request\n\
             3 directio: abort check on timeout"
        ),
    )]);
    h.free(id)?;
    h.expect(&[("log", "")]);
    Ok(())
}

fn deadline(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 2)?;
    // Twenty ticks in no time: calls do not count.
    for _ in 0..20 {
        start(h, id)?;
        collect(h, id, "pending", "101")?;
    }
    std::thread::sleep(Duration::from_secs(1));
    start(h, id)?;
    collect(h, id, "pending", "101")?;
    std::thread::sleep(Duration::from_millis(1200));
    for _ in 0..2 {
        // After the deadline each tick is open from check and down from pending.
        start(h, id)?;
        need_wait(h, id, "no")?;
        collect(h, id, "down", "5")?;
        h.expect_line("directio: abort check on timeout");
        h.expect(&[("waiting", "1")]);
    }
    h.note_reads(gate, 1)?;
    start(h, id)?;
    h.answer(gate, 1, "data")?;
    collect(h, id, "up", "4")?;
    // The next request has a deadline of its own.
    start(h, id)?;
    need_wait(h, id, "yes")?;
    collect(h, id, "pending", "101")?;
    h.note_reads(gate, 2)?;
    h.free(id)
}

fn timeout_0(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 0)?;
    start(h, id)?;
    need_wait(h, id, "yes")?;
    collect(h, id, "down", "5")?;
    start(h, id)?;
    h.answer(gate, 1, "data")?;
    collect(h, id, "up", "4")?;
    h.sync(true);
    h.check(id)?;
    h.expect(&[("returned", "down"), ("took", "at once"), ("waiting", "1")]);
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up"), ("msgid", "4")]);
    h.free(id)
}

/// C adds the limit to the clock as a signed number.
fn huge_timeout(h: &mut Session) -> Result<()> {
    for (gate, limit) in [(1, 0x7fff_ffff), (2, 0x8000_0000), (3, u32::MAX)] {
        let (gate, id) = held_instance(h, gate, limit)?;
        start(h, id)?;
        h.pending(id)?;
        if limit > 0x7fff_ffff {
            h.differs("I12", "returned", "down", "pending");
            h.differs("I12", "msgid", "5", "101");
            h.differs("I12", "text", " reports path is down", " is waiting on aio");
            h.differs_log(
                "I12",
                &format!("3 {ABORTED}"),
                "4 directio: async io pending",
            );
        } else {
            h.expect(&[("returned", "pending"), ("msgid", "101")]);
        }
        h.answer(gate, 1, "data")?;
        collect(h, id, "up", "4")?;
        h.free(id)?;
    }
    Ok(())
}

const ABORTED: &str = "directio: abort check on timeout";

fn stays(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 1)?;
    start(h, id)?;
    h.checker(id)?.set_timeout(30);
    std::thread::sleep(Duration::from_millis(1200));
    start(h, id)?;
    collect(h, id, "down", "5")?;
    h.answer(gate, 1, "data")?;
    start(h, id)?;
    collect(h, id, "up", "4")?;
    start(h, id)?;
    h.checker(id)?.set_timeout(0);
    collect(h, id, "pending", "101")?;
    h.free(id)
}

fn sync(h: &mut Session) -> Result<()> {
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
        need_wait(h, id, "no")?;
    }
    h.note_reads(gate, 1)?;
    h.let_go_later(Duration::from_secs(1), gate, "data");
    h.check(id)?;
    h.expect(&[("returned", "up"), ("msgid", "4"), ("took", "about 1 s")]);
    h.note_reads(gate, 1)?;
    h.check(id)?;
    h.expect(&[("returned", "up"), ("took", "at once")]);
    h.free(id)
}

fn flip(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 2)?;
    start(h, id)?;
    h.sync(true);
    h.check(id)?;
    h.expect(&[
        ("returned", "down"),
        ("took", "about 2 s"),
        ("waiting", "1"),
    ]);
    h.sync(false);
    // The asynchronous deadline was set at submission and has passed.
    std::thread::sleep(Duration::from_millis(200));
    start(h, id)?;
    collect(h, id, "down", "5")?;
    h.note_reads(gate, 1)?;
    h.answer(gate, 1, "data")?;
    h.sync(true);
    h.check(id)?;
    h.expect(&[("returned", "up"), ("took", "at once"), ("waiting", "0")]);
    h.note_reads(gate, 1)?;
    h.free(id)
}

fn interrupted(h: &mut Session) -> Result<()> {
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
    let begin = "4 directio: called for <device>\n4 directio: called in synchronous mode\n\
                 4 directio: starting new request\n";
    h.differs_log(
        "I4",
        &format!(
            "{begin}4 directio: async io getevents returned Interrupted system call\n3 {ABORTED}"
        ),
        &format!("{begin}4 directio: io finished 4096/0"),
    );
    Ok(())
}

fn idle(h: &mut Session) -> Result<()> {
    let path = h.file_on("disk", "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let never = h.instance(fd, 30)?;
    let id = h.started(fd, 30)?;
    for id in [never, id] {
        // What the host has stored comes back, with a message where directio has one.
        for (state, name, msgid) in [
            (State::UNCHECKED, "unchecked", "100"),
            (State::DOWN, "down", "5"),
            (State::UP, "up", "4"),
            (State::PENDING, "pending", "101"),
            (State::WILD, "wild", "0"),
            (State::SHAKY, "shaky", "0"),
            (State::TIMEOUT, "timeout", "0"),
        ] {
            h.checker(id)?.set_path_state(state);
            h.checker(id)?.set_msgid(0);
            collect(h, id, name, msgid)?;
            h.expect(&[("log", "")]);
            need_wait(h, id, "no")?;
        }
    }
    h.check(never)?;
    h.expect(&[("returned", "unchecked"), ("msgid", "0")]);
    h.free(never)?;
    h.free(id)?;
    need_wait(h, id, "no")?;
    Ok(())
}

fn neighbours(h: &mut Session) -> Result<()> {
    let (gate_a, a) = held_instance(h, 1, 30)?;
    let (gate_b, b) = held_instance(h, 2, 30)?;
    start(h, a)?;
    start(h, b)?;
    h.expect(&[("waiting", "2"), ("contexts", "1")]);
    h.answer(gate_a, 1, "data")?;
    collect(h, b, "pending", "101")?;
    // a has not been looked at, but its read has ended: nothing to wait for.
    need_wait(h, a, "no")?;
    collect(h, a, "up", "4")?;
    start(h, a)?;
    h.answer(gate_a, 1, "error:5")?;
    collect(h, b, "pending", "101")?;
    // check finds it as well, and starts nothing new.
    h.check(a)?;
    h.expect(&[("returned", "down"), ("msgid", "5")]);
    h.note_reads(gate_a, 2)?;
    h.answer(gate_b, 1, "data")?;
    start(h, a)?;
    h.answer(gate_a, 1, "data")?;
    collect(h, a, "up", "4")?;
    h.check(b)?;
    h.expect(&[("returned", "up"), ("msgid", "4")]);
    h.note_reads(gate_b, 1)?;
    h.free(a)?;
    h.free(b)
}

fn neighbours_257(h: &mut Session) -> Result<()> {
    let (gate, ids) = crowd(h, 1, 257, 30)?;
    h.answer(gate, 257, "data")?;
    let Some((first, rest)) = ids.split_first() else {
        return Ok(());
    };
    collect(h, *first, "up", "4")?;
    h.bulk("check of all others", |h| {
        for id in rest {
            h.check(*id)?;
        }
        Ok(())
    })?;
    h.expect(&[("results", "256 × check → up"), ("waiting", "0")]);
    h.note_reads(gate, 257)
}

fn submit_fails(h: &mut Session) -> Result<()> {
    let (_gate, fd) = held(h, 1)?;
    let id = h.started(fd, 30)?;
    h.close(fd);
    for mode in [false, true] {
        h.sync(mode);
        h.check(id)?;
        h.expect(&[
            ("returned", "unchecked"),
            ("msgid", "100"),
            ("waiting", "0"),
        ]);
        h.expect_line("directio: io_submit error 9");
        need_wait(h, id, "no")?;
        collect(h, id, "unchecked", "100")?;
    }
    h.free(id)
}

fn free(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 30)?;
    start(h, id)?;
    h.free(id)?;
    h.expect(&[
        ("took", "at once"),
        ("context", "null"),
        ("flags", "none"),
        ("waiting", "1"),
    ]);
    let (other, neighbour) = held_instance(h, 2, 30)?;
    start(h, neighbour)?;
    h.expect(&[("contexts", "1"), ("waiting", "2")]);
    h.answer(gate, 1, "data")?;
    collect(h, neighbour, "pending", "101")?;
    h.answer(other, 1, "data")?;
    collect(h, neighbour, "up", "4")?;
    h.free(neighbour)?;
    h.reset()?;
    h.expect(&[("contexts", "0"), ("took", "at once")]);
    Ok(())
}

fn reset_over_orphan(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 30)?;
    start(h, id)?;
    h.free(id)?;
    h.let_go_later(Duration::from_secs(2), gate, "data");
    h.reset()?;
    h.expect(&[("contexts", "0")]);
    h.differs("I6", "took", "about 2 s", "at once");
    h.differs("I6", "waiting", "0", "1");
    h.let_go_unseen(gate, "data")?;
    let (_other, id) = held_instance(h, 2, 30)?;
    start(h, id)?;
    h.expect(&[("contexts", "1"), ("waiting", "1")]);
    h.free(id)
}

fn reset_in_flight(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 30)?;
    start(h, id)?;
    h.let_go_later(Duration::from_secs(2), gate, "data");
    h.reset()?;
    h.differs("I6", "took", "about 2 s", "at once");
    h.differs("I5", "contexts", "0", "1");
    h.differs("I6", "waiting", "0", "1");
    if h.c_ends("its instances point to a group that is no more")? {
        return Ok(());
    }
    start(h, id)?;
    h.let_go(gate, "data")?;
    collect(h, id, "up", "4")?;
    h.expect(&[("contexts", "1"), ("waiting", "0")]);
    h.free(id)?;
    h.reset()?;
    h.expect(&[("contexts", "0"), ("took", "at once")]);
    Ok(())
}

fn instances(h: &mut Session) -> Result<()> {
    let path = h.file_on("disk", "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let mut ids = Vec::new();
    for (count, contexts) in [(1024, "1"), (1, "2")] {
        h.bulk(&format!("init of {count} instances"), |h| {
            for _ in 0..count {
                ids.push(h.started(fd, 30)?);
            }
            Ok(())
        })?;
        h.expect(&[("contexts", contexts)]);
    }
    h.bulk("free of all", |h| {
        for id in &ids {
            h.free(*id)?;
        }
        Ok(())
    })?;
    h.expect(&[("contexts", "2")]);
    h.reset()?;
    h.expect(&[("contexts", "0")]);
    Ok(())
}

fn orphans_1024(h: &mut Session) -> Result<()> {
    let (gate, ids) = crowd(h, 1, 1024, 30)?;
    let Some((last, rest)) = ids.split_last() else {
        return Ok(());
    };
    h.bulk("free of 1023 instances", |h| {
        for id in rest {
            h.free(*id)?;
        }
        Ok(())
    })?;
    h.let_go_later(Duration::from_secs(2), gate, "data");
    h.free(*last)?;
    h.expect(&[("context", "null"), ("contexts", "0")]);
    h.differs("I6", "took", "about 2 s", "at once");
    h.differs("I6", "waiting", "0", "1024");
    h.let_go_unseen(gate, "data")?;
    h.reset()?;
    h.expect(&[("contexts", "0"), ("waiting", "0"), ("took", "at once")]);
    Ok(())
}

fn device(h: &mut Session) -> Result<()> {
    let (gate, path) = h.gate_device(1, 512)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 1)?;
    h.verdict(id)?;
    h.expect(&[("returned", "up")]);
    h.hold(gate)?;
    start(h, id)?;
    collect(h, id, "pending", "101")?;
    h.expect(&[("waiting", "1")]);
    std::thread::sleep(Duration::from_millis(1200));
    start(h, id)?;
    collect(h, id, "down", "5")?;
    h.let_go(gate, "error:5")?;
    start(h, id)?;
    collect(h, id, "down", "5")?;
    h.verdict(id)?;
    h.expect(&[("returned", "up")]);
    h.free(id)
}

fn child(h: &mut Session) -> Result<()> {
    let (gate, path) = h.gate(1)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 30)?;
    h.sync(true);
    h.check_in_child(id)?;
    h.expect(&[("child's end", "0")]);
    h.differs("I17", "returned", "unchecked", "up");
    h.differs("I17", "msgid", "100", "4");
    let begin = "4 directio: called for <device>\n4 directio: called in synchronous mode\n\
                 4 directio: starting new request\n";
    h.differs_log(
        "I17",
        &format!("{begin}3 directio: io_submit error {}", libc::EINVAL),
        &format!("{begin}4 directio: io finished 4096/0"),
    );
    h.sync(false);
    h.hold(gate)?;
    start(h, id)?;
    h.answer(gate, 1, "data")?;
    collect(h, id, "up", "4")?;
    h.free(id)
}

fn large_blocks(h: &mut Session) -> Result<()> {
    let path = h.soft_device(1 << 20, 8192, 8192)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 30)?;
    h.verdict(id)?;
    h.differs("L5", "returned", "down", "up");
    h.differs("L5", "msgid", "5", "4");
    h.differs("L5", "text", " reports path is down", " reports path is up");
    let log = |result: &str| {
        format!(
            "4 directio: called for <device>\n4 directio: starting new request\n\
             4 directio: io finished {result}/0"
        )
    };
    // The event's result is -EINVAL, printed as an unsigned long.
    h.differs_log("L5", &log(&(-22_i64 as u64).to_string()), &log("8192"));
    Ok(())
}

/// One path of a random walk.
struct Walker {
    gate: Gate,
    fd: RawFd,
    id: Option<Id>,
    /// Whether the host has stored "pending" for it.
    open: bool,
    waiting: u64,
}

/// Whatever a host may do, in an order that only the seed decides: time limits are none at all or
/// longer than the walk, and every read is held until the walk answers it.
fn walk(h: &mut Session) -> Result<()> {
    let mut walkers = Vec::new();
    for gate in 0..4 {
        let (gate, fd) = held(h, gate)?;
        walkers.push(Walker {
            gate,
            fd,
            id: None,
            open: false,
            waiting: 0,
        });
    }
    for _ in 0..1200 {
        let index = usize::try_from(h.random(4)).unwrap_or(0);
        let Some(walker) = walkers.get_mut(index) else {
            continue;
        };
        let limit = if h.random(3) == 0 { 0 } else { 1000 };
        let Some(id) = walker.id else {
            walker.id = Some(h.started(walker.fd, limit)?);
            walker.open = false;
            continue;
        };
        match h.random(20) {
            0..6 => look(h, walker, id, false)?,
            6..11 if walker.open => walker.open = h.pending(id)? == State::PENDING,
            11..13 if walker.open => {
                h.need_wait(id)?;
            }
            13 => {
                h.checker(id)?.set_timeout(0);
                look(h, walker, id, true)?;
            }
            14..18 if walker.waiting > 0 => {
                let how = match h.random(4) {
                    0 => "error:5",
                    1 => "short:512",
                    _ => "data",
                };
                let count = 1 + h.random(walker.waiting);
                h.answer(walker.gate, count, how)?;
                walker.waiting -= count;
                h.note(&format!("{count} reads end"), "how", how)?;
            }
            18 => {
                h.free(id)?;
                walker.id = None;
            }
            _ => h.checker(id)?.set_timeout(limit),
        }
    }
    for walker in &mut walkers {
        if let Some(id) = walker.id.take() {
            h.free(id)?;
        }
        if walker.waiting > 0 {
            h.answer(walker.gate, walker.waiting, "data")?;
        }
    }
    h.reset()?;
    h.expect(&[("contexts", "0"), ("waiting", "0"), ("took", "at once")]);
    Ok(())
}

fn look(h: &mut Session, walker: &mut Walker, id: Id, sync: bool) -> Result<()> {
    let before = h.waiting()?;
    h.sync(sync);
    walker.open = h.check(id)? == State::PENDING;
    h.sync(false);
    walker.waiting += h.waiting()?.saturating_sub(before);
    Ok(())
}

//! `libcheck_reset` and unloading, in every state that instances can be in.

use super::{Scenario, held, held_instance};
use crate::directio::session::{Gate, Session};
use harness::Result;
use std::time::Duration;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::both("reset-nothing", "before the first init, and twice", nothing),
    Scenario::both(
        "reset-unused",
        "contexts that nobody uses are given back",
        unused,
    ),
    Scenario::both(
        "reset-after-reads",
        "after reads that all ended",
        after_reads,
    ),
    Scenario::both(
        "reset-finished-orphan",
        "an orphan that ended unseen",
        finished_orphan,
    ),
    Scenario::both("reset-orphan", "an orphan that hangs", orphan),
    Scenario::both(
        "reset-orphan-device",
        "an orphan that hangs on a block device",
        orphan_device,
    ),
    Scenario::both(
        "reset-idle-instance",
        "with an idle instance",
        idle_instance,
    ),
    Scenario::both(
        "reset-in-flight",
        "with an instance whose read hangs",
        in_flight,
    ),
    Scenario::both("unload-idle", "unload and load again", unload_idle),
    Scenario::both(
        "unload-orphan",
        "unload while an orphan hangs, and load again",
        unload_orphan,
    ),
];

fn nothing(h: &mut Session) -> Result<()> {
    for _ in 0..2 {
        h.reset()?;
        h.expect(&[("contexts", "0"), ("log", "")]);
    }
    Ok(())
}

fn unused(h: &mut Session) -> Result<()> {
    let path = h.file_on("disk", "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    for _ in 0..2 {
        let id = h.started(fd, 30)?;
        h.expect(&[("contexts", "1")]);
        h.free(id)?;
        h.expect(&[("contexts", "1")]);
        h.reset()?;
        h.expect(&[("contexts", "0")]);
    }
    Ok(())
}

fn after_reads(h: &mut Session) -> Result<()> {
    let path = h.file_on("disk", "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    for sync in [true, false] {
        h.sync(sync);
        let id = h.started(fd, 30)?;
        h.verdict(id)?;
        h.verdict(id)?;
        h.free(id)?;
        h.reset()?;
        h.expect(&[("contexts", "0"), ("took", "at once")]);
    }
    Ok(())
}

fn finished_orphan(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 3)?;
    h.check(id)?;
    h.free(id)?;
    h.answer(gate, 1, "data")?;
    h.reset()?;
    h.expect(&[("contexts", "0"), ("took", "at once")]);
    Ok(())
}

/// Resets while a read hangs that belongs to nobody, and lets it end two seconds later.
fn reset_over_orphan(h: &mut Session, gate: Gate) -> Result<()> {
    h.let_go_later(Duration::from_secs(2), gate, "data");
    h.reset()?;
    h.differs("I6", "took", "about 2 s", "at once");
    h.expect(&[("contexts", "0")]);
    h.differs("I6", "waiting", "0", "1");
    h.let_go_unseen(gate, "data")?;
    await_quiet(h)?;
    // What could not be given back then is given back now.
    h.reset()?;
    h.expect(&[("contexts", "0"), ("took", "at once"), ("waiting", "0")]);
    Ok(())
}

/// Waits until no read of this process hangs and all completions have arrived.
fn await_quiet(h: &mut Session) -> Result<()> {
    while h.waiting()? > 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(50));
    Ok(())
}

fn orphan(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 3)?;
    h.check(id)?;
    h.free(id)?;
    h.expect(&[("took", "at once"), ("waiting", "1")]);
    reset_over_orphan(h, gate)?;
    let (gate, id) = held_instance(h, 2, 3)?;
    h.check(id)?;
    h.expect(&[("contexts", "1")]);
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up")]);
    h.free(id)
}

fn orphan_device(h: &mut Session) -> Result<()> {
    let (gate, path) = h.gate_device(1, 512)?;
    h.hold(gate)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 3)?;
    h.check(id)?;
    h.free(id)?;
    h.expect(&[("took", "at once"), ("waiting", "1")]);
    reset_over_orphan(h, gate)
}

fn idle_instance(h: &mut Session) -> Result<()> {
    let path = h.file_on("disk", "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 30)?;
    h.verdict(id)?;
    h.reset()?;
    h.differs("I5", "contexts", "0", "1");
    if h.c_ends("its instances point to a group that is no more")? {
        return Ok(());
    }
    h.verdict(id)?;
    h.expect(&[("returned", "up"), ("contexts", "1")]);
    h.free(id)?;
    h.expect(&[("context", "null"), ("flags", "none")]);
    h.reset()?;
    h.expect(&[("contexts", "0")]);
    Ok(())
}

fn in_flight(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 30)?;
    h.check(id)?;
    h.let_go_later(Duration::from_secs(2), gate, "data");
    h.reset()?;
    h.differs("I6", "took", "about 2 s", "at once");
    h.differs("I5", "contexts", "0", "1");
    h.differs("I6", "waiting", "0", "1");
    if h.c_ends("its instances point to a group that is no more")? {
        return Ok(());
    }
    h.check(id)?;
    h.expect(&[("returned", "pending"), ("waiting", "1")]);
    h.let_go(gate, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up"), ("waiting", "0"), ("contexts", "1")]);
    h.verdict(id)?;
    h.expect(&[("returned", "up")]);
    h.free(id)?;
    h.reset()?;
    h.expect(&[("contexts", "0")]);
    Ok(())
}

fn unload_idle(h: &mut Session) -> Result<()> {
    let path = h.file_on("disk", "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    for _ in 0..2 {
        let id = h.started(fd, 30)?;
        h.verdict(id)?;
        h.free(id)?;
        h.reload()?;
        h.expect(&[("contexts", "0")]);
    }
    Ok(())
}

fn unload_orphan(h: &mut Session) -> Result<()> {
    let (gate, id) = held_instance(h, 1, 3)?;
    h.check(id)?;
    h.free(id)?;
    h.let_go_later(Duration::from_secs(2), gate, "data");
    h.reload()?;
    h.differs("I6", "took", "about 2 s", "at once");
    h.expect(&[("contexts", "0")]);
    h.differs("I6", "waiting", "0", "1");
    h.let_go_unseen(gate, "data")?;
    await_quiet(h)?;
    let (_other, fd) = held(h, 2)?;
    let id = h.started(fd, 3)?;
    h.check(id)?;
    h.expect(&[("returned", "pending"), ("waiting", "1"), ("contexts", "1")]);
    h.free(id)
}

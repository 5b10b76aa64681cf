// SPDX-License-Identifier: LGPL-2.0-or-later

//! `libcheck_reset` and unloading, in every state that instances can be in.

use super::prelude::*;

pub(super) const SCENARIOS: &[Scenario] = scenarios! {
    Both "reset-nothing" "before the first init, and twice" => nothing;
    Both "reset-unused" "unused contexts are destroyed" => unused;
    Both "reset-after-reads" "after reads that all ended" => after_reads;
    Both "reset-finished-orphan" "an orphan that ended unseen" => finished_orphan;
    Both "reset-orphan" "an orphan that hangs" => orphan;
    Both "reset-orphan-device" "an orphan that hangs on a block device" => orphan_device;
    Both "reset-idle-instance" "with an idle instance" => idle_instance;
    Both "reset-in-flight" "with an instance whose read hangs" => in_flight;
    Both "unload-idle" "unload and load again" => unload_idle;
    Both "unload-orphan" "unload while an orphan hangs, and load again" => unload_orphan;
};

fn nothing(d: &mut Driver) -> Result<()> {
    for _ in 0..2 {
        d.reset()?.contexts(0).logged(Log::default());
    }
    Ok(())
}

fn unused(d: &mut Driver) -> Result<()> {
    let fd = d.open_file()?;
    for _ in 0..2 {
        let (id, seen) = d.init(fd, 30)?;
        seen.contexts(1);
        d.free(id)?.contexts(1);
        d.reset()?.contexts(0);
    }
    Ok(())
}

fn after_reads(d: &mut Driver) -> Result<()> {
    let fd = d.open_file()?;
    for sync in [true, false] {
        d.sync(sync);
        let id = d.started(fd, 30)?;
        d.verdict(id)?;
        d.verdict(id)?;
        d.free(id)?;
        d.reset()?.contexts(0).took(0);
    }
    Ok(())
}

fn finished_orphan(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 3)?;
    d.check(id)?;
    d.free(id)?;
    d.answer(gate, 1, DATA)?;
    d.reset()?.contexts(0).took(0);
    Ok(())
}

/// Resets while a read hangs that has no instance, and lets it end two seconds later.
fn reset_over_orphan(d: &mut Driver, gate: Gate) -> Result<()> {
    d.let_go_later(2, gate, DATA);
    d.reset()?
        .differs_in_time("I6", 2, 0)
        .contexts(0)
        .differs_in_flight("I6", 0, 1);
    d.let_go_unseen(gate, DATA)?;
    await_quiet(d)?;
    // The contexts that the reset could not release are released now.
    d.reset()?.contexts(0).took(0).in_flight(0);
    Ok(())
}

/// Waits until no read of this process hangs and all completions have arrived.
fn await_quiet(d: &mut Driver) -> Result<()> {
    while d.in_flight()? > 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(50));
    Ok(())
}

fn orphan(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 3)?;
    d.check(id)?;
    d.free(id)?.took(0).in_flight(1);
    reset_over_orphan(d, gate)?;
    let (gate, id) = held_instance(d, 2, 3)?;
    d.check(id)?.contexts(1);
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP);
    d.free(id).map(drop)
}

fn orphan_device(d: &mut Driver) -> Result<()> {
    let (gate, path) = d.gate_device(1, 512)?;
    d.hold(gate)?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    let id = d.started(fd, 3)?;
    d.check(id)?;
    d.free(id)?.took(0).in_flight(1);
    reset_over_orphan(d, gate)
}

fn idle_instance(d: &mut Driver) -> Result<()> {
    let fd = d.open_file()?;
    let id = d.started(fd, 30)?;
    d.verdict(id)?;
    d.reset()?
        .differs("I5", Observation::Contexts(0), Observation::Contexts(1));
    if d.upstream_ends("its instances point to a group that is no more")? {
        return Ok(());
    }
    d.verdict(id)?.is(UP).contexts(1);
    d.free(id)?.freed();
    d.reset()?.contexts(0);
    Ok(())
}

fn in_flight(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 30)?;
    d.check(id)?;
    d.let_go_later(2, gate, DATA);
    d.reset()?
        .differs_in_time("I6", 2, 0)
        .differs("I5", Observation::Contexts(0), Observation::Contexts(1))
        .differs_in_flight("I6", 0, 1);
    if d.upstream_ends("its instances point to a group that is no more")? {
        return Ok(());
    }
    d.check(id)?.is(PENDING).in_flight(1);
    d.let_go(gate, DATA)?;
    d.check(id)?.is(UP).in_flight(0).contexts(1);
    d.verdict(id)?.is(UP);
    d.free(id)?;
    d.reset()?.contexts(0);
    Ok(())
}

fn unload_idle(d: &mut Driver) -> Result<()> {
    let fd = d.open_file()?;
    for _ in 0..2 {
        let id = d.started(fd, 30)?;
        d.verdict(id)?;
        d.free(id)?;
        d.reload()?.contexts(0);
    }
    Ok(())
}

fn unload_orphan(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 3)?;
    d.check(id)?;
    d.free(id)?;
    d.let_go_later(2, gate, DATA);
    d.reload()?
        .differs_in_time("I6", 2, 0)
        .contexts(0)
        .differs_in_flight("I6", 0, 1);
    d.let_go_unseen(gate, DATA)?;
    await_quiet(d)?;
    let (_other, fd) = held(d, 2)?;
    let id = d.started(fd, 3)?;
    d.check(id)?.is(PENDING).in_flight(1).contexts(1);
    d.free(id).map(drop)
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Synchronous checks of devices that hang.

use super::prelude::*;

pub(super) const SCENARIOS: &[Scenario] = scenarios! {
    Both "sync-hang" "a synchronous check waits its time, each time" => sync_hang;
    Both "sync-late" "the read ends while a synchronous check waits" => sync_late;
    Both "sync-late-error" "it fails while a synchronous check waits" => sync_late_error;
    Both "sync-timeout-0" "a synchronous check without time" => sync_timeout_0;
    Both "flip" "from asynchronous to synchronous and back, in flight" => flip;
    Both "neighbours-sync" "the same while one waits synchronously" => neighbours_sync;
    Both "interrupted" "a signal during a synchronous wait" => interrupted;
    Both "interrupted-late" "a signal, and then the read ends" => interrupted_late;
    Both "device-sync" "a block device that hangs, synchronously" => device_sync;
};

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

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Hosts of 0.11.0 and later, where `libcheck_check` starts and `libcheck_pending` collects: what
//! our plugin must do there, by the rules of those releases' checker.

use super::prelude::*;

pub(super) const LATER: &[Host] = &[
    V0_11,
    V0_14,
    V0_15,
    Host::Assuming(Abi::V0_11),
    Host::Assuming(Abi::V0_15),
];

/// Those that can ask for synchronous checks: without `checker_is_sync` a host cannot.
pub(super) const LINKED: &[Host] = &[V0_11, V0_14, V0_15];

pub(super) const SCENARIOS: &[Scenario] = scenarios! {
    Later(LATER) "later-async" "start, poll, poll again, collect" => start_and_collect;
    Later(LATER) "later-tick" "the host's own tick on devices that answer" => ticks;
    Later(&[V0_11, V0_15]) "later-log" "every line of a check and its level" => lines;
    Later(LATER) "later-deadline" "a time limit in seconds, not in calls" => deadline;
    Later(LINKED) "later-timeout-0" "no time at all" => timeout_0;
    Later(LATER) "later-huge-timeout" "time limits above 2³¹-1" => huge_timeout;
    Later(LATER) "later-deadline-stays" "the limit set at submission holds" => stays;
    Later(LINKED) "later-sync" "a synchronous check waits its time" => sync;
    Later(LINKED) "later-flip" "from asynchronous to synchronous and back" => flip;
    Later(LINKED) "later-interrupted" "a signal during a synchronous wait" => interrupted;
    Later(LATER) "later-idle" "pending and need_wait with nothing in flight" => idle;
    Later(LATER) "later-submit-fails" "a read that cannot be started" => submit_fails;
    Later(LATER) "later-device" "a block device that hangs, fails, recovers" => device;
    Later(LINKED) "later-child" "a check in a forked child, without a map" => child;
    Later(LATER) "later-large-blocks" "blocks of 8192 bytes" => large_blocks;
};

/// `libcheck_check`, which must leave the verdict open without waiting.
pub(super) fn start(d: &mut Driver, id: Id) -> Result<Seen<'_>> {
    Ok(d.check(id)?.is(PENDING).took(0))
}

/// `libcheck_pending`, with the state that it must return.
pub(super) fn collect(d: &mut Driver, id: Id, state: State) -> Result<Seen<'_>> {
    Ok(d.pending(id)?.is(state).took(0))
}

pub(super) fn need_wait(d: &mut Driver, id: Id, expected: bool) -> Result<()> {
    d.need_wait(id)?.returned(Returned::Wait(expected));
    Ok(())
}

fn start_and_collect(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 30)?;
    d.seen()
        .returned(Returned::Ok)
        .context(true)
        .flags(libc::O_DIRECT)
        .contexts(1);
    need_wait(d, id, false)?;
    start(d, id)?.in_flight(1);
    need_wait(d, id, true)?;
    need_wait(d, id, true)?;
    collect(d, id, PENDING)?;
    need_wait(d, id, false)?;
    // The host's next tick: the same read, and no wait for it.
    start(d, id)?.in_flight(1);
    need_wait(d, id, false)?;
    collect(d, id, PENDING)?;
    d.answer(gate, 1, DATA)?;
    collect(d, id, UP)?.in_flight(0);
    need_wait(d, id, false)?;
    d.note_reads(gate, 1)?;
    start(d, id)?;
    d.note_reads(gate, 2)?;
    need_wait(d, id, true)?;
    d.answer(gate, 1, EIO)?;
    collect(d, id, DOWN)?;
    start(d, id)?;
    d.answer(gate, 1, Answer::Short(512))?;
    collect(d, id, DOWN)?;
    // check itself does not read the ring: only pending does.
    start(d, id)?;
    d.answer(gate, 1, DATA)?;
    start(d, id)?;
    d.note_reads(gate, 4)?;
    collect(d, id, UP)?;
    d.free(id)?.freed().took(0);
    d.reset()?.contexts(0);
    Ok(())
}

fn ticks(d: &mut Driver) -> Result<()> {
    let fd = d.open_loop_device(libc::O_RDONLY)?;
    let id = d.started(fd, 30)?;
    for mode in [false, true, false] {
        d.sync(mode);
        d.verdict(id)?.is(UP).flags(libc::O_DIRECT);
    }
    d.free(id)?;
    let path = d.loop_device(0, Shape::new(512))?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    let id = d.started(fd, 30)?;
    d.verdict(id)?.is(DOWN);
    d.free(id).map(drop)
}

fn lines(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 1)?;
    let pending = Log::default().line(4, "directio: async io pending");
    d.check(id)?.logged(Log::called().starts(4));
    d.pending(id)?.logged(pending);
    sleep(Duration::from_millis(1100));
    d.check(id)?.logged(Log::called());
    d.pending(id)?.logged(Log::default().aborts());
    d.answer(gate, 1, EIO)?;
    let failed = Log::default().finishes(4, -i64::from(libc::EIO));
    d.pending(id)?.logged(failed);
    d.sync(true);
    d.check(id)?
        .logged(Log::called_sync(true).starts(4).aborts());
    d.free(id)?.logged(Log::default());
    Ok(())
}

fn deadline(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 3)?;
    // Twenty ticks in no time: calls do not count.
    for _ in 0..20 {
        start(d, id)?;
        collect(d, id, PENDING)?;
    }
    sleep(Duration::from_secs(1));
    start(d, id)?;
    collect(d, id, PENDING)?;
    sleep(Duration::from_millis(2200));
    for _ in 0..2 {
        // After the deadline each tick is open from check and down from pending.
        start(d, id)?;
        need_wait(d, id, false)?;
        collect(d, id, DOWN)?
            .line("directio: abort check on timeout")
            .in_flight(1);
    }
    d.note_reads(gate, 1)?;
    start(d, id)?;
    d.answer(gate, 1, DATA)?;
    collect(d, id, UP)?;
    // The next request has a deadline of its own.
    start(d, id)?;
    need_wait(d, id, true)?;
    collect(d, id, PENDING)?;
    d.note_reads(gate, 2)?;
    d.free(id).map(drop)
}

fn timeout_0(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 0)?;
    start(d, id)?;
    need_wait(d, id, true)?;
    collect(d, id, DOWN)?;
    start(d, id)?;
    d.answer(gate, 1, DATA)?;
    collect(d, id, UP)?;
    d.sync(true);
    d.check(id)?.is(DOWN).took(0).in_flight(1);
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP);
    d.free(id).map(drop)
}

/// Upstream adds the limit to the clock as a signed number.
fn huge_timeout(d: &mut Driver) -> Result<()> {
    for (gate, limit) in [(1, 0x7fff_ffff), (2, 0x8000_0000), (3, u32::MAX)] {
        let (gate, id) = held_instance(d, gate, limit)?;
        start(d, id)?;
        let seen = d.pending(id)?;
        if limit > 0x7fff_ffff {
            let ours = Log::default().line(4, "directio: async io pending");
            seen.differs_in_state("I12", DOWN, PENDING).differs_in_log(
                "I12",
                Log::default().aborts(),
                ours,
            );
        } else {
            seen.is(PENDING);
        }
        d.answer(gate, 1, DATA)?;
        collect(d, id, UP)?;
        d.free(id)?;
    }
    Ok(())
}

fn stays(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 1)?;
    start(d, id)?;
    d.checker(id)?.set_timeout(30);
    sleep(Duration::from_millis(1200));
    start(d, id)?;
    collect(d, id, DOWN)?;
    d.answer(gate, 1, DATA)?;
    start(d, id)?;
    collect(d, id, UP)?;
    start(d, id)?;
    d.checker(id)?.set_timeout(0);
    collect(d, id, PENDING)?;
    d.free(id).map(drop)
}

fn sync(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 2)?;
    d.sync(true);
    for _ in 0..2 {
        d.check(id)?.is(DOWN).took(2).in_flight(1);
        need_wait(d, id, false)?;
    }
    d.note_reads(gate, 1)?;
    d.let_go_later(1, gate, DATA);
    d.check(id)?.is(UP).took(1);
    d.note_reads(gate, 1)?;
    d.check(id)?.is(UP).took(0);
    d.free(id).map(drop)
}

fn flip(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 2)?;
    start(d, id)?;
    d.sync(true);
    d.check(id)?.is(DOWN).took(2).in_flight(1);
    d.sync(false);
    // The asynchronous deadline was set at submission and has passed.
    sleep(Duration::from_millis(200));
    start(d, id)?;
    collect(d, id, DOWN)?;
    d.note_reads(gate, 1)?;
    d.answer(gate, 1, DATA)?;
    d.sync(true);
    d.check(id)?.is(UP).took(0).in_flight(0);
    d.note_reads(gate, 1)?;
    d.free(id).map(drop)
}

fn interrupted(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_instance(d, 1, 5)?;
    d.sync(true);
    d.interrupt_after(1);
    d.let_go_later(2, gate, DATA);
    let log = || Log::called_sync(true).starts(4);
    let interrupted = "directio: async io getevents returned Interrupted system call";
    d.check(id)?
        .differs_in_state("I4", DOWN, UP)
        .differs_in_time("I4", 1, 2)
        .differs_in_flight("I4", 1, 0)
        .differs_in_log(
            "I4",
            log().line(4, interrupted).aborts(),
            log().finishes(4, 4096),
        );
    Ok(())
}

fn idle(d: &mut Driver) -> Result<()> {
    let fd = d.open_file()?;
    let never = d.instance(fd, 30)?;
    let id = d.started(fd, 30)?;
    for id in [never, id] {
        // What the host has stored comes back, with a message where directio has one.
        for (state, msgid) in [
            (State::UNCHECKED, 100),
            (DOWN, 5),
            (UP, 4),
            (PENDING, 101),
            (State::WILD, 0),
            (State::SHAKY, 0),
            (State::TIMEOUT, 0),
        ] {
            d.checker(id)?.set_path_state(state);
            d.checker(id)?.set_msgid(0);
            collect(d, id, state)?.msgid(msgid).logged(Log::default());
            need_wait(d, id, false)?;
        }
    }
    d.check(never)?.refused();
    d.free(never)?;
    d.free(id)?;
    need_wait(d, id, false)?;
    Ok(())
}

fn submit_fails(d: &mut Driver) -> Result<()> {
    let (_gate, fd) = held(d, 1)?;
    let id = d.started(fd, 30)?;
    d.close(fd);
    for mode in [false, true] {
        d.sync(mode);
        d.check(id)?
            .not_available()
            .in_flight(0)
            .line("directio: io_submit error 9");
        need_wait(d, id, false)?;
        collect(d, id, State::UNCHECKED)?.msgid(100);
    }
    d.free(id).map(drop)
}

fn device(d: &mut Driver) -> Result<()> {
    let (gate, path) = d.gate_device(1, 512)?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    let id = d.started(fd, 1)?;
    d.verdict(id)?.is(UP);
    d.hold(gate)?;
    start(d, id)?;
    collect(d, id, PENDING)?.in_flight(1);
    sleep(Duration::from_millis(1200));
    start(d, id)?;
    collect(d, id, DOWN)?;
    d.let_go(gate, EIO)?;
    start(d, id)?;
    collect(d, id, DOWN)?;
    d.verdict(id)?.is(UP);
    d.free(id).map(drop)
}

fn child(d: &mut Driver) -> Result<()> {
    let (gate, path) = d.gate(1)?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    let id = d.started(fd, 30)?;
    d.sync(true);
    let log = || Log::called_sync(true).starts(4);
    let refused = format!("directio: io_submit error {}", libc::EINVAL);
    d.check_in_child(id)?
        .differs(
            "I17",
            Observation::Returned(State::UNCHECKED.into()),
            Observation::Returned(UP.into()),
        )
        .differs("I17", Observation::Msgid(100), Observation::Msgid(4))
        .differs_in_log("I17", log().line(3, &refused), log().finishes(4, 4096));
    d.sync(false);
    d.hold(gate)?;
    start(d, id)?;
    d.answer(gate, 1, DATA)?;
    collect(d, id, UP)?;
    d.free(id).map(drop)
}

fn large_blocks(d: &mut Driver) -> Result<()> {
    let path = d.loop_device(1 << 20, Shape::new(8192).soft(8192))?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    let id = d.started(fd, 30)?;
    let log = |result| Log::called().starts(4).finishes(4, result);
    d.verdict(id)?
        .differs_in_state("L5", DOWN, UP)
        .differs_in_log("L5", log(-i64::from(libc::EINVAL)), log(8192));
    Ok(())
}

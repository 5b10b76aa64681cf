// SPDX-License-Identifier: LGPL-2.0-or-later

//! System calls that fail: no AIO contexts left, no request taken, no event given.

use super::prelude::*;
use harness::aio_faults::Syscall;

pub(super) const SCENARIOS: &[Scenario] = scenarios! {
    Both "setup-eagain" "io_setup fails with EAGAIN" => |d| setup_fails(d, libc::EAGAIN);
    Both "setup-enomem" "io_setup fails with ENOMEM" => |d| setup_fails(d, libc::ENOMEM);
    Both "setup-enosys" "io_setup fails with ENOSYS" => |d| setup_fails(d, libc::ENOSYS);
    BothApart "aio-max-nr" "fs.aio-max-nr is exhausted" => aio_max_nr;
    Both "submit-fails" "io_submit fails, then works again" => submit_fails;
    Both "submit-takes-nothing" "io_submit takes no request" => submit_takes_nothing;
    Both "getevents-fails" "io_getevents fails in a synchronous check" => getevents_fails;
    Both "getevents-interrupted" "signals end every io_getevents of a synchronous check" => getevents_interrupted;
    Both "cancel-succeeds" "io_cancel says it succeeded" => cancel_succeeds;
    Both "cancel-free" "io_cancel says it succeeded in free" => cancel_free;
    Both "cancel-in-progress" "io_cancel says it is in progress" => cancel_in_progress;
    Both "call-counts" "contexts and requests, by the system calls made" => call_counts;
};

fn setup_failed() -> Log {
    Log::default().line(1, "directio: io_setup failed")
}

/// What ours adds when the quota is exhausted. Upstream reads the reason from errno, which libaio
/// does not set.
fn with_hint() -> Log {
    setup_failed().line(
        1,
        "directio: global number of io events too small. Increase fs.aio-max-nr with sysctl",
    )
}

/// The log of a check whose `io_submit` fails. Upstream prints errno, which libaio does not set.
fn submit_error(sync: bool, level: i32, number: i32) -> Log {
    let log = Log::called_sync(sync).starts(level);
    log.line(3, &format!("directio: io_submit error {number}"))
}

fn setup_fails(d: &mut Driver, errno: i32) -> Result<()> {
    let fd = d.open_file()?;
    let faults = d.faults()?;
    faults.fail(Syscall::Setup, -errno);
    for _ in 0..2 {
        let seen = d.init(fd, 30)?.1;
        let seen = seen.returned(Returned::Failed).context(false).contexts(0);
        if errno == libc::EAGAIN {
            seen.differs_in_log("I1", setup_failed(), with_hint());
        } else {
            seen.logged(setup_failed());
        }
    }
    faults.allow(Syscall::Setup);
    let (id, seen) = d.init(fd, 30)?;
    seen.returned(Returned::Ok).contexts(1);
    d.verdict(id)?.is(UP);
    d.free(id).map(drop)
}

const LIMIT: &str = "/proc/sys/fs/aio-max-nr";

/// Restores the machine's limit when the scenario is over, also when it fails.
struct Limit(String);

impl Limit {
    fn lower() -> Result<Limit> {
        let before = std::fs::read_to_string(LIMIT).doing(LIMIT)?;
        let limit = Limit(before.trim().to_owned());
        std::fs::write(LIMIT, "1")
            .map_err(|error| Trouble::NotHere(format!("{LIMIT}: {error}")))?;
        Ok(limit)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        if let Err(error) = std::fs::write(LIMIT, &self.0) {
            eprintln!("{LIMIT} must be set to {} by hand: {error}", self.0);
        }
    }
}

fn aio_max_nr(d: &mut Driver) -> Result<()> {
    let fd = d.open_file()?;
    let limit = Limit::lower()?;
    d.init(fd, 30)?
        .1
        .returned(Returned::Failed)
        .context(false)
        .contexts(0)
        .differs_in_log("I1", setup_failed(), with_hint());
    drop(limit);
    let (id, seen) = d.init(fd, 30)?;
    seen.returned(Returned::Ok).contexts(1);
    let limit = Limit::lower()?;
    // What is there goes on working, and has room for more instances.
    d.verdict(id)?.is(UP);
    let (other, seen) = d.init(fd, 30)?;
    seen.returned(Returned::Ok).contexts(1);
    drop(limit);
    d.free(other)?;
    d.free(id).map(drop)
}

fn submit_fails(d: &mut Driver) -> Result<()> {
    let (gate, fd) = held_device(d, 1)?;
    let id = d.started(fd, 3)?;
    let faults = d.faults()?;
    for errno in [libc::EAGAIN, libc::EINVAL, libc::ENOMEM, libc::EIO] {
        faults.fail(Syscall::Submit, -errno);
        for sync in [false, true] {
            d.sync(sync);
            d.check(id)?.not_available().in_flight(0).differs_in_log(
                "I1",
                submit_error(sync, 3, 0),
                submit_error(sync, 4, errno),
            );
        }
    }
    faults.allow(Syscall::Submit);
    d.sync(false);
    d.check(id)?.is(PENDING).in_flight(1);
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP);
    faults.fail(Syscall::Submit, -libc::EAGAIN);
    d.check(id)?.is(State::UNCHECKED).differs_in_log(
        "I1",
        submit_error(false, 3, 0),
        submit_error(false, 4, libc::EAGAIN),
    );
    // Nothing is in flight: free leaves no orphan.
    d.free(id)?;
    d.reset()?.contexts(0).took(0);
    Ok(())
}

fn submit_takes_nothing(d: &mut Driver) -> Result<()> {
    let (_gate, fd) = held_device(d, 1)?;
    let id = d.started(fd, 3)?;
    let faults = d.faults()?;
    faults.fail(Syscall::Submit, 0);
    d.check(id)?
        .not_available()
        .line("directio: io_submit error 0");
    faults.allow(Syscall::Submit);
    d.check(id)?.is(PENDING).in_flight(1);
    d.free(id).map(drop)
}

fn getevents_fails(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_device_instance(d, 1, 5)?;
    let faults = d.faults()?;
    d.sync(true);
    faults.fail(Syscall::GetEvents, -libc::EINVAL);
    let log = |level, reason: &str| {
        let text = format!("directio: async io getevents returned {reason}");
        let log = Log::called_sync(true).starts(level);
        log.line(level, &text).aborts()
    };
    d.check(id)?.is(DOWN).took(0).in_flight(1).differs_in_log(
        "I1",
        log(3, "-22 (errno=Success)"),
        log(4, "Invalid argument"),
    );
    faults.allow(Syscall::GetEvents);
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP);
    d.free(id).map(drop)
}

fn getevents_interrupted(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_device_instance(d, 1, 1)?;
    let faults = d.faults()?;
    d.sync(true);
    faults.fail(Syscall::GetEvents, -libc::EINTR);
    let log = |level| Log::called_sync(true).starts(level);
    let upstream = log(3).line(
        3,
        "directio: async io getevents returned -4 (errno=Success)",
    );
    d.check(id)?
        .is(DOWN)
        .in_flight(1)
        .differs_in_time("I4", 0, 1)
        .differs_in_log("I4", upstream.aborts(), log(4).aborts());
    // Waiting on must not mean to spin: one call in a millisecond at most.
    let few = Observation::Note("few".to_owned());
    let calls = match faults.count(Syscall::GetEvents) {
        0..1500 => few.clone(),
        _ => Observation::Note("many".to_owned()),
    };
    d.note("interrupted io_getevents calls", calls)?.has(few);
    faults.allow(Syscall::GetEvents);
    d.sync(false);
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP);
    d.free(id).map(drop)
}

/// Believing `io_cancel`, upstream takes the request for gone, and submits a second read into the same
/// buffer while the first one is in flight.
fn cancel_succeeds(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_device_instance(d, 1, 1)?;
    let faults = d.faults()?;
    faults.fail(Syscall::Cancel, 0);
    d.check(id)?.is(PENDING).in_flight(1);
    d.check(id)?.is(DOWN).in_flight(1);
    let upstream = Log::called()
        .starts(3)
        .line(3, "directio: async io pending");
    d.check(id)?
        .differs_in_state("I2", PENDING, DOWN)
        .differs_in_flight("I2", 2, 1)
        .differs("I2", Observation::Submits(2), Observation::Submits(1))
        .differs_in_log("I2", upstream, Log::called().aborts());
    if d.upstream_ends("two events will arrive for one request")? {
        return Ok(());
    }
    faults.allow(Syscall::Cancel);
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP).in_flight(0);
    d.free(id).map(drop)
}

/// Believing `io_cancel`, upstream frees the buffer that the kernel will write to.
fn cancel_free(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_device_instance(d, 1, 5)?;
    d.check(id)?;
    let faults = d.faults()?;
    faults.fail(Syscall::Cancel, 0);
    d.free(id)?.freed().in_flight(1);
    if d.upstream_ends("the kernel will write to freed memory")? {
        return Ok(());
    }
    let (other, neighbour) = held_device_instance(d, 2, 5)?;
    d.check(neighbour)?;
    d.answer(gate, 1, DATA)?;
    d.check(neighbour)?
        .is(PENDING)
        .line("directio: io finished 4096/0");
    d.answer(other, 1, DATA)?;
    d.check(neighbour)?;
    d.free(neighbour)?;
    d.reset()?.contexts(0);
    Ok(())
}

fn cancel_in_progress(d: &mut Driver) -> Result<()> {
    let (gate, id) = held_device_instance(d, 1, 1)?;
    let faults = d.faults()?;
    faults.fail(Syscall::Cancel, -libc::EINPROGRESS);
    for state in [PENDING, DOWN, DOWN] {
        d.check(id)?.is(state).in_flight(1);
    }
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP);
    d.free(id).map(drop)
}

fn call_counts(d: &mut Driver) -> Result<()> {
    let faults = d.faults()?;
    let (gate, id) = held_device_instance(d, 1, 1)?;
    d.seen().has(Observation::Setups(1)).submits(0);
    for _ in 0..4 {
        d.check(id)?.submits(1);
    }
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP).submits(1);
    d.check(id)?.is(PENDING).submits(2);
    d.answer(gate, 1, DATA)?;
    d.check(id)?;
    d.free(id)?.has(Observation::Destroys(0));
    d.reset()?
        .has(Observation::Setups(1))
        .has(Observation::Destroys(1))
        .contexts(0);
    drop(faults);
    Ok(())
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Bytes per path, in a process whose memory is locked as multipathd's is.

#![forbid(unsafe_code)]

use crate::case::{Case, Device};
use crate::contender::{Contender, Entry};
use crate::figure::Figure;
use crate::results::Results;
use bench::devices::{Devices, Release};
use bench::driver::Host;
use bench::protocol::{Called, Function, Pace, Request, Round, Usage};
use harness::state::State;
use harness::{Result, Trouble};
use std::time::{Duration, Instant};

/// How many paths: enough that what they share hardly counts.
const PATHS: usize = 1024;

/// How many block devices they share: a loop device takes 128 reads at a time, and no more than that
/// may hang on one.
const DEVICES: usize = 16;

/// Longer than directio keeps buffers that it does not need.
const REST: Duration = Duration::from_millis(2100);

/// Measures one plugin.
pub(crate) fn measure(checker: &str, entry: &Entry, results: &mut Results) -> Result<()> {
    let case = Case::new(checker, PATHS);
    let mut devices = Devices::default();
    let mut files = Vec::new();
    if case.device == Device::Loop {
        for device in 0..DEVICES {
            files.push(devices.stalling_loop(device)?);
        }
    }
    let mut host = entry.open(&case, &files, &[])?;
    let () = host.ask(&Request::LockMemory)?;
    let base = usage(&mut host)?;
    let init: Duration = host.ask(&Request::InitAll)?;
    let fresh = usage(&mut host)?;
    let _: Round = host.ask(&Request::Rounds {
        count: 3,
        pace: Pace::Eager,
    })?;
    let recent = usage(&mut host)?;
    if case.device == Device::Loop {
        rest(&mut host)?;
    }
    let idle = usage(&mut host)?;
    let mut hung = None;
    if !blocks(&case, entry) {
        hang_all(&mut devices, &case, &mut host)?;
        hung = Some(usage(&mut host)?);
        release_all(&mut devices, &case, &mut host)?;
    }
    let free: Duration = host.ask(&Request::FreeAll)?;
    host.end()?;

    let mut add = |figure, value| results.add(&case, figure, entry.contender, &[value]);
    let mut per_path = |figure, bytes: fn(&Usage) -> u64, now: &Usage| {
        let more = bytes(now) as f64 - bytes(&base) as f64;
        add(figure, (more / PATHS as f64).round());
    };
    let resident = |usage: &Usage| usage.resident;
    let locked = |usage: &Usage| usage.locked;
    per_path(Figure::FreshResident, resident, &fresh);
    per_path(Figure::RecentLocked, locked, &recent);
    per_path(Figure::IdleResident, resident, &idle);
    per_path(Figure::IdleLocked, locked, &idle);
    if let Some(hung) = hung {
        per_path(Figure::HungResident, resident, &hung);
        per_path(Figure::HungLocked, locked, &hung);
    }
    let more = |now, then| now as f64 - then as f64;
    let per_call = |span: Duration| span.as_secs_f64() * 1e6 / PATHS as f64;
    add(Figure::AioContexts, more(idle.contexts, base.contexts));
    add(
        Figure::Descriptors,
        more(idle.descriptors, base.descriptors),
    );
    add(Figure::Init, per_call(init));
    add(Figure::Free, per_call(free));
    Ok(())
}

fn usage(host: &mut Host) -> Result<Usage> {
    host.ask(&Request::Usage)
}

/// Two checks of one path, seconds apart; they give back what no path has needed for a while.
fn rest(host: &mut Host) -> Result<()> {
    for _ in 0..2 {
        std::thread::sleep(REST);
        let start = Instant::now();
        let mut called: Called = host.ask(&Request::Call(Function::Check(0)))?;
        while State(called.value) == State::PENDING {
            pause(start, || "a check still runs".to_owned())?;
            called = host.ask(&Request::Call(Function::Pending(0)))?;
        }
    }
    Ok(())
}

/// Whether a check of a device that hangs does not return.
fn blocks(case: &Case, entry: &Entry) -> bool {
    let asynchronous = ["directio", "tur"].contains(&case.checker.as_str());
    matches!(entry.contender, Contender::Upstream(_)) && !asynchronous
}

/// Starts a check of every path while no device answers, and waits until all of them hang.
fn hang_all(devices: &mut Devices, case: &Case, host: &mut Host) -> Result<()> {
    let start = Instant::now();
    match case.device {
        Device::Loop => (0..DEVICES).try_for_each(|device| devices.hold(device))?,
        Device::Scsi { .. } => host.ask(&Request::Hang { percent: 100 })?,
    }
    let _: u64 = host.ask(&Request::Start)?;
    loop {
        let hanging = hanging(devices, case, host)?;
        if hanging == PATHS as u64 {
            return Ok(());
        }
        pause(start, || format!("{hanging} of {PATHS} paths hang"))?;
    }
}

/// Lets the devices answer, and collects the verdicts.
fn release_all(devices: &mut Devices, case: &Case, host: &mut Host) -> Result<()> {
    match case.device {
        Device::Loop => {
            (0..DEVICES).try_for_each(|device| devices.release(device, Release::Data))?;
        }
        Device::Scsi { .. } => host.ask(&Request::Hang { percent: 0 })?,
    }
    let start = Instant::now();
    while hanging(devices, case, host)? > 0 {
        pause(start, || "paths still hang".to_owned())?;
    }
    let _: u64 = host.ask(&Request::Collect)?;
    Ok(())
}

/// How many checks hang at the moment.
fn hanging(devices: &mut Devices, case: &Case, host: &mut Host) -> Result<u64> {
    match case.device {
        Device::Loop => devices.waiting(),
        Device::Scsi { .. } => Ok(usage(host)?.hanging),
    }
}

/// Sleeps, for at most a minute since `start`.
fn pause(start: Instant, what: impl FnOnce() -> String) -> Result<()> {
    std::thread::sleep(Duration::from_millis(20));
    if start.elapsed() > Duration::from_secs(60) {
        return Err(Trouble::Broken(format!("after a minute {}", what())));
    }
    Ok(())
}

//! Bytes per path, in a process whose memory is locked as multipathd's is.

use crate::case::{Case, Device};
use crate::figures::Quantity;
use crate::measure::ask;
use crate::options::Options;
use crate::report::Report;
use crate::side::{self, Side, Who};
use bench::driver::{Answer, Host};
use harness::devices::Lab;
use harness::state::State;
use harness::{Result, Trouble};
use std::time::{Duration, Instant};

/// How many paths: enough that what they share hardly counts.
const PATHS: usize = 1024;

/// How many block devices they are of, where they are of any: a loop device takes 128 reads at a
/// time, and more than that shall hang on none of them.
const DEVICES: u64 = 16;

/// How long directio keeps buffers that it does not need, and some more.
const REST: Duration = Duration::from_millis(2100);

/// Measures every plugin of a checker.
pub(crate) fn measure(options: &Options, checker: &str, report: &mut Report) -> Result<()> {
    let case = Case::new(checker, PATHS);
    for side in side::contenders(options, checker) {
        measure_one(&case, &side, report)?;
    }
    Ok(())
}

fn measure_one(case: &Case, side: &Side, report: &mut Report) -> Result<()> {
    let mut lab = Lab::default();
    let files = match case.device {
        Device::Loop => {
            let mut files = Vec::new();
            for device in 0..DEVICES {
                files.extend(ask(&mut lab, &format!("stall-loop {device} 512"))?);
            }
            files.join(" ")
        }
        Device::Scsi { .. } => "stub".to_owned(),
    };
    let mut host = side.open(case, &files, &[])?;
    host.tell("lock")?;
    let base = host.tell("usage")?;
    let init = host.tell("init")?.get("ns");
    let fresh = host.tell("usage")?;
    for _ in 0..3 {
        host.tell("round 1")?;
    }
    let recent = host.tell("usage")?;
    if case.device == Device::Loop {
        rest(&mut host)?;
    }
    let idle = host.tell("usage")?;
    let hung = if blocks(case, side) {
        None
    } else {
        hold(&mut lab, case, &mut host)?;
        let usage = host.tell("usage")?;
        let_go(&mut lab, case, &mut host)?;
        Some(usage)
    };
    let free = host.tell("free")?.get("ns");
    host.dismiss()?;

    let mut per_path = |quantity, then: &Answer, now: &Answer, name| {
        let bytes = now.get(name) as f64 - then.get(name) as f64;
        report.enter(case, quantity, side.who, &[(bytes / PATHS as f64).round()]);
    };
    per_path(Quantity::FreshResident, &base, &fresh, "resident");
    per_path(Quantity::RecentLocked, &base, &recent, "locked");
    per_path(Quantity::IdleResident, &base, &idle, "resident");
    per_path(Quantity::IdleLocked, &base, &idle, "locked");
    if let Some(hung) = hung {
        per_path(Quantity::HungResident, &base, &hung, "resident");
        per_path(Quantity::HungLocked, &base, &hung, "locked");
    }
    let mut once = |quantity, value| report.enter(case, quantity, side.who, &[value]);
    once(
        Quantity::AioContexts,
        (idle.get("aio") - base.get("aio")) as f64,
    );
    once(
        Quantity::Descriptors,
        idle.get("fds") as f64 - base.get("fds") as f64,
    );
    once(Quantity::Init, init as f64 / 1e3 / PATHS as f64);
    once(Quantity::Free, free as f64 / 1e3 / PATHS as f64);
    Ok(())
}

/// Two checks of one path, seconds apart: what the others have not needed for a while goes back then.
fn rest(host: &mut Host) -> Result<()> {
    for _ in 0..2 {
        std::thread::sleep(REST);
        let start = Instant::now();
        let mut answer = host.tell("call check 0")?;
        while answer.get("answer") == State::PENDING.0 as u64 {
            patience(start, "a check still runs")?;
            answer = host.tell("call pending 0")?;
        }
    }
    Ok(())
}

/// Whether a check of a device that hangs does not come back.
fn blocks(case: &Case, side: &Side) -> bool {
    matches!(side.who, Who::C(_)) && !["directio", "tur"].contains(&case.checker.as_str())
}

/// Starts a check of every path while no device answers, and waits until all of them hang.
fn hold(lab: &mut Lab, case: &Case, host: &mut Host) -> Result<()> {
    let start = Instant::now();
    match case.device {
        Device::Loop => {
            for device in 0..DEVICES {
                ask(lab, &format!("hold {device}"))?;
            }
            host.tell("start")?;
        }
        Device::Scsi { .. } => {
            host.tell("hang 100")?;
            host.tell("start")?;
        }
    }
    loop {
        let hanging = hanging(lab, case, host)?;
        if hanging == PATHS as u64 {
            return Ok(());
        }
        patience(start, &format!("{hanging} of {PATHS} paths hang"))?;
    }
}

/// Lets the devices answer, and collects the verdicts.
fn let_go(lab: &mut Lab, case: &Case, host: &mut Host) -> Result<()> {
    match case.device {
        Device::Loop => {
            for device in 0..DEVICES {
                ask(lab, &format!("let-go {device} data"))?;
            }
        }
        Device::Scsi { .. } => drop(host.tell("hang 0")?),
    }
    let start = Instant::now();
    while hanging(lab, case, host)? > 0 {
        patience(start, "paths still hang")?;
    }
    host.tell("collect").map(drop)
}

/// How many checks hang at the moment.
fn hanging(lab: &mut Lab, case: &Case, host: &mut Host) -> Result<u64> {
    match case.device {
        Device::Loop => Ok(number(&ask(lab, "waiting")?)),
        Device::Scsi { .. } => Ok(host.tell("usage")?.get("hanging")),
    }
}

/// Waits a little, but not for ever.
fn patience(start: Instant, what: &str) -> Result<()> {
    std::thread::sleep(Duration::from_millis(20));
    if start.elapsed() > Duration::from_secs(60) {
        return Err(Trouble::Broken(format!("after a minute {what}")));
    }
    Ok(())
}

fn number(words: &[String]) -> u64 {
    words
        .first()
        .and_then(|word| word.parse().ok())
        .unwrap_or(0)
}

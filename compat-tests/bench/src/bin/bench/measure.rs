// SPDX-License-Identifier: LGPL-2.0-or-later

//! Rounds of all contenders by turns, so that whatever else the machine does affects all alike.

#![forbid(unsafe_code)]

use crate::case::{Case, Device};
use crate::contender::{Contender, Entry};
use crate::figure::Figure;
use crate::results::Results;
use bench::devices::Devices;
use bench::driver::Host;
use bench::protocol::{Lap, Pace, Request, Round, Threads};
use harness::Result;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How many loop devices the paths share: enough that 4096 reads find room in their queues.
const LOOPS: usize = 32;

/// A sample of few paths is the mean of several rounds with about this many checks.
const CHECKS_PER_SAMPLE: usize = 256;

/// Likewise at the daemon's pace, where rounds take long.
const CHECKS_PER_TICK_SAMPLE: usize = 32;

/// From this many paths on the longest call is looked for.
const PATHS_OF_LONGEST_CALL: usize = 4096;

/// There are more turns than were asked for until this time has passed: the numbers of a virtual
/// machine are noisy.
const ENOUGH: Duration = Duration::from_secs(20);

/// No more turns than this.
const MOST_TURNS: usize = 41;

type Samples = BTreeMap<(Contender, Figure), Vec<f64>>;

/// Measures all entries in one case.
pub(crate) fn measure(
    case: &Case,
    entries: &[Entry],
    turns: usize,
    results: &mut Results,
) -> Result<()> {
    let mut devices = Devices::default();
    let files = files(&mut devices, case)?;
    let mut hosts = Vec::new();
    for entry in entries {
        let mut host = entry.start(case, &files, &[])?;
        rounds(&mut host, 2, Pace::Eager)?;
        hosts.push((entry.contender, host));
    }
    let mut samples = Samples::new();
    let begin = Instant::now();
    let mut done = 0;
    while done < turns || (begin.elapsed() < ENOUGH && done < MOST_TURNS) {
        done += 1;
        for (contender, host) in &mut hosts {
            let mut add = |figure, value| {
                let samples = samples.entry((*contender, figure)).or_default();
                samples.push(value);
            };
            match (case.hung, *contender) {
                (0, _) => turn(case, host, &mut add)?,
                (_, Contender::LowerBound) => turn_of_threads(case, host, &mut add)?,
                _ => turn_with_hung_paths(case, host, &mut add)?,
            }
        }
    }
    for (contender, mut host) in hosts {
        if case.is_plain() && matches!(contender, Contender::Upstream(_) | Contender::Ours(_)) {
            let threads: Threads = host.ask(&Request::Threads)?;
            for (figure, value) in [
                (Figure::ThreadsCreated, threads.created),
                (Figure::ThreadsMost, threads.most),
            ] {
                samples.insert((contender, figure), vec![value as f64]);
            }
        }
        host.end()?;
    }
    for ((contender, figure), samples) in samples {
        results.add(case, figure, contender, &samples);
    }
    Ok(())
}

fn rounds(host: &mut Host, count: usize, pace: Pace) -> Result<Round> {
    host.ask(&Request::Rounds {
        count: count as u32,
        pace,
    })
}

/// One turn of one contender.
fn turn(case: &Case, host: &mut Host, add: &mut impl FnMut(Figure, f64)) -> Result<()> {
    let count = (CHECKS_PER_SAMPLE / case.paths).max(1);
    let wall = rounds(host, count, Pace::Eager)?.wall.as_secs_f64();
    add(Figure::Round, wall * 1e3 / count as f64);
    if !case.is_plain() {
        return Ok(());
    }
    let count = (CHECKS_PER_TICK_SAMPLE / case.paths).max(1);
    let used = rounds(host, count, Pace::Daemon)?.processor.as_secs_f64();
    add(Figure::Processor, used * 1e6 / (count * case.paths) as f64);
    if case.paths >= PATHS_OF_LONGEST_CALL {
        let lap: Lap = host.ask(&Request::LongestCall)?;
        add(Figure::LongestCall, lap.held.as_secs_f64() * 1e6);
    }
    Ok(())
}

/// Paths begin to hang, and go on hanging.
fn turn_with_hung_paths(
    case: &Case,
    host: &mut Host,
    add: &mut impl FnMut(Figure, f64),
) -> Result<()> {
    use bench::protocol::{Called, Function};
    let () = host.ask(&Request::Hang { percent: 0 })?;
    rounds(host, 1, Pace::Eager)?;
    // Ends the threads that hung the last time.
    let _: Called = host.ask(&Request::Call(Function::Reset))?;
    let percent = case.hung as usize;
    let () = host.ask(&Request::Hang { percent })?;
    for figure in [Figure::FirstHungRound, Figure::HungRound] {
        let wall = rounds(host, 1, Pace::Eager)?.wall.as_secs_f64();
        add(figure, wall * 1e3);
    }
    Ok(())
}

/// The lower bound with hung paths: a thread for each of them.
fn turn_of_threads(case: &Case, host: &mut Host, add: &mut impl FnMut(Figure, f64)) -> Result<()> {
    let hung = case.paths * case.hung as usize / 100;
    let wall: Duration = host.ask(&Request::StartThreads(hung))?;
    add(Figure::FirstHungRound, wall.as_secs_f64() * 1e3);
    Ok(())
}

/// The files behind the paths of a case; none for fake SCSI devices.
pub(crate) fn files(devices: &mut Devices, case: &Case) -> Result<Vec<PathBuf>> {
    match case.device {
        Device::Scsi { .. } => Ok(Vec::new()),
        Device::Loop => (0..LOOPS).map(|_| devices.loop_device()).collect(),
    }
}

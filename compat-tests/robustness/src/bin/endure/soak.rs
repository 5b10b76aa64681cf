// SPDX-License-Identifier: LGPL-2.0-or-later

//! Many hosts at a time, for long: devices hang, return and break, and paths vanish and return, all at
//! intervals far shorter than a daemon's. What a host uses must not grow.
//!
//! Numbers are taken when everything has come to rest: every device answers, every verdict has been
//! collected, idle threads are gone. The first are taken after a quarter of the time, when as much has
//! hung at once as ever will. Upstream's plugins do the same for comparison; they cannot fail.

#![forbid(unsafe_code)]

use crate::model::Behaviour;
use crate::options::{Options, Subject};
use crate::report::Report;
use crate::test_host::{Layout, TestHost};
use bench::paths::TIMEOUT_SECONDS;
use bench::protocol::{Function, Usage};
use bench::random::Random;
use harness::abi::Abi;
use harness::{Result, Trouble, say};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const PATHS: usize = 64;
const DEVICES: usize = 8;
/// Devices from here on are loop devices, where they are files.
const LOOPS_FROM: usize = 6;

/// After this many turns no device answers for a while.
const DEAD_TIME_EVERY: u64 = 200;

/// The pause between two turns of a host.
const PACE: Duration = Duration::from_millis(10);

/// How often the resources in use are measured, in equal intervals. The first time does not count: as
/// much has to have hung at once as ever will.
const QUARTERS: u32 = 4;

/// How long things may take to come to rest.
const REST: Duration = Duration::from_secs(20);

/// How much memory may come and go: the C library keeps the stacks of some threads.
const SLACK: u64 = 512 << 10;

/// A smaller growth counts too, if it is seen every time.
const STEP: u64 = 32 << 10;

/// How often a daemon checks a path at most, in seconds: the shortest polling interval. Every turn
/// checks every path once.
const POLLING_INTERVAL: u64 = 5;

/// How often the progress of a long run is printed.
const PROGRESS: Duration = Duration::from_secs(60);

/// One host in the long run.
struct Runner {
    name: String,
    subject: Subject,
    host: TestHost,
    random: Random,
    devices: [Behaviour; DEVICES],
    turns: u64,
    /// At rest, so far.
    figures: Vec<Usage>,
}

/// Runs the hosts, each with a thread of this process that drives it.
pub(crate) fn run(options: &Options, report: &mut Report) {
    let mut runners = Vec::new();
    let subjects = options.ours().into_iter().chain(options.upstream());
    for subject in subjects.filter(is_representative) {
        let name = format!("soak: {}", subject.name());
        match Runner::new(&name, &subject, options.seed) {
            Ok(runner) => runners.push(runner),
            Err(trouble) => report.end(&name, Err(trouble)),
        }
    }
    if runners.is_empty() {
        let why = format!("no plugins in {}", options.ours.display());
        return report.end("soak", Err(Trouble::NotHere(why)));
    }
    let end = Instant::now() + options.soak();
    let running = AtomicBool::new(true);
    let ended: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| print_progress(&running));
        let hosts: Vec<_> = runners
            .iter_mut()
            .map(|runner| scope.spawn(move || runner.run(end, options.soak())))
            .collect();
        let ended = hosts.into_iter().map(|host| host.join());
        let ended = ended.collect();
        running.store(false, Ordering::Relaxed);
        ended
    });
    for (mut runner, ended) in runners.into_iter().zip(ended) {
        report.add_times(&runner.subject.group(), &runner.host.take_times());
        let mut result = ended.unwrap_or_else(|_| Err(Trouble::Broken("panicked".to_owned())));
        if !runner.subject.is_ours() {
            result = result.map_err(|trouble| Trouble::NotHere(trouble.to_string()));
        }
        report.end(&runner.name, result);
    }
}

fn print_progress(running: &AtomicBool) {
    let start = Instant::now();
    let mut printed = start;
    while running.load(Ordering::Relaxed) {
        if printed.elapsed() > PROGRESS {
            printed = Instant::now();
            say!("        soak: {} s", start.elapsed().as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// All checkers but directio share one asynchronous core. Upstream's others wait for their devices, and
/// would hold up every host.
fn is_representative(subject: &Subject) -> bool {
    match subject.checker.as_str() {
        "directio" | "tur" => true,
        _ => subject.is_ours() && subject.abi == Abi::V0_11,
    }
}

impl Runner {
    fn new(name: &str, subject: &Subject, seed: u64) -> Result<Runner> {
        let layout = Layout {
            device_of: (0..PATHS).map(|path| path % DEVICES).collect(),
            loops_from: LOOPS_FROM,
        };
        let mut host = TestHost::new(subject, &layout)?;
        for path in 0..PATHS {
            host.init(path, timeout(path))?;
        }
        Ok(Runner {
            name: name.to_owned(),
            subject: subject.clone(),
            host,
            random: Random(seed.wrapping_mul(2) + 1),
            devices: [Behaviour::Answers; DEVICES],
            turns: 0,
            figures: Vec::new(),
        })
    }

    /// The whole run.
    fn run(&mut self, end: Instant, length: Duration) -> Result<String> {
        let mut left = QUARTERS;
        loop {
            let now = Instant::now();
            if now >= end {
                break;
            }
            if end.duration_since(now) < length * left / QUARTERS {
                left -= 1;
                if left < QUARTERS - 1 {
                    let usage = self.at_rest()?;
                    self.figures.push(usage);
                }
            }
            // Now and then everything hangs, for long enough that time limits pass.
            if self.turns % DEAD_TIME_EVERY == 0 {
                self.all(Behaviour::Hangs)?;
                self.round()?;
                std::thread::sleep(Duration::from_millis(1100));
                self.round()?;
            }
            self.turn()?;
            std::thread::sleep(PACE);
        }
        self.end()
    }

    /// Something happens, and every path is checked.
    fn turn(&mut self) -> Result<()> {
        self.turns += 1;
        match self.random.below(8) {
            0..4 => {
                let device = self.random.below(DEVICES);
                let behaviour = match self.random.below(4) {
                    0 => Behaviour::Hangs,
                    1 => Behaviour::Fails,
                    _ => Behaviour::Answers,
                };
                self.set(device, behaviour)?;
            }
            4..6 => {
                let path = self.random.below(PATHS);
                self.host.call(Function::Free(path))?;
                self.host.init(path, timeout(path))?;
            }
            _ => {}
        }
        self.round()
    }

    fn round(&mut self) -> Result<()> {
        self.host.start_all()?;
        self.host.collect_all().map(drop)
    }

    fn set(&mut self, device: usize, behaviour: Behaviour) -> Result<()> {
        match self.devices.get_mut(device) {
            Some(place) if *place != behaviour => *place = behaviour,
            _ => return Ok(()),
        }
        self.host.set(device, behaviour)
    }

    fn all(&mut self, behaviour: Behaviour) -> Result<()> {
        (0..DEVICES).try_for_each(|device| self.set(device, behaviour))
    }

    /// What is used when nothing happens.
    fn at_rest(&mut self) -> Result<Usage> {
        self.all(Behaviour::Answers)?;
        let start = Instant::now();
        let mut rounds = 0;
        // Where verdicts are not collected apart from checks, every round starts new ones.
        while self.host.collect_all()? > 0 && (self.host.collects() || rounds < 10) {
            if start.elapsed() > REST {
                return Err(Trouble::Broken("verdicts are missing".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(5));
            rounds += 1;
        }
        let mut usage = self.host.usage()?;
        // Upstream has no threads that would stay.
        while usage.threads > 1 {
            if start.elapsed() > REST {
                return Err(Trouble::Broken(format!("threads stay: {usage:?}")));
            }
            if self.subject.is_ours() {
                // Upstream destroys contexts that paths still use.
                self.host.call(Function::Reset)?;
            }
            std::thread::sleep(Duration::from_millis(1));
            usage = self.host.usage()?;
        }
        Ok(usage)
    }

    /// The first and the last numbers.
    ///
    /// # Errors
    /// When something of ours has grown.
    fn end(&mut self) -> Result<String> {
        let usage = self.at_rest()?;
        self.figures.push(usage);
        let (Some(first), Some(last)) = (self.figures.first(), self.figures.last()) else {
            return Err(Trouble::Broken("nothing was measured".to_owned()));
        };
        let hours = (self.turns * POLLING_INTERVAL) as f64 / 3600.0;
        let found = format!(
            "{} turns, a daemon's {hours:.1} h\n        first: {}\n        last:  {}",
            self.turns,
            show(*first),
            show(*last)
        );
        let same = |usage: &Usage| (usage.threads, usage.descriptors, usage.contexts);
        if self.subject.is_ours() && (same(first) != same(last) || grows(&self.figures)) {
            return Err(Trouble::Broken(found));
        }
        Ok(found)
    }
}

/// Every other path has a time limit that passes.
fn timeout(path: usize) -> u32 {
    match path % 2 {
        0 => 1,
        _ => TIMEOUT_SECONDS,
    }
}

fn show(usage: Usage) -> String {
    format!(
        "{} KiB resident, {} threads, {} descriptors, {} AIO contexts",
        usage.resident >> 10,
        usage.threads,
        usage.descriptors,
        usage.contexts
    )
}

/// Whether more memory is used every time than the time before, or much more than the first time.
fn grows(figures: &[Usage]) -> bool {
    let resident = |usage: Option<&Usage>| usage.map_or(0, |usage| usage.resident);
    let more = |pair: &[Usage]| resident(pair.last()) > resident(pair.first()) + STEP;
    let much = resident(figures.last()) > resident(figures.first()) + SLACK;
    much || figures.len() > 2 && figures.windows(2).all(more)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(kib: &[u64]) -> Vec<Usage> {
        let usage = |kib: &u64| Usage {
            resident: kib << 10,
            ..Usage::default()
        };
        kib.iter().map(usage).collect()
    }

    #[test]
    fn growth_is_told_from_noise() {
        for steady in [
            &[6000, 6200, 6204, 6200][..],
            &[6000, 6300, 6320, 6400],
            &[6400, 6000, 6100, 6200],
        ] {
            assert!(!grows(&figures(steady)), "{steady:?}");
        }
        for growing in [&[6000, 6100, 6200, 6300][..], &[6000, 6000, 6000, 7000]] {
            assert!(grows(&figures(growing)), "{growing:?}");
        }
    }
}

//! Many hosts at a time, for long: devices hang, come back, break, and paths vanish and return, all at
//! intervals far shorter than a daemon's. What a host uses must not grow.
//!
//! Figures are taken when everything has come to rest: every device answers, every verdict has been
//! collected, idle threads are gone. The first are taken after a quarter of the time, when as much has
//! hung at once as ever will. C's plugins do the same, for comparison; they cannot fail.

use crate::model::Behaviour;
use crate::options::{Options, Subject};
use crate::rig::{Rig, Usage};
use crate::tally::{OURS, Tally};
use bench::paths::TIMEOUT_SECONDS;
use bench::random::Random;
use harness::abi::Abi;
use harness::{Result, Trouble};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const PATHS: usize = 64;
const DEVICES: usize = 8;
/// Devices from here on are loop devices, where they are files.
const LOOPS_FROM: usize = 6;

/// So many turns lie between two times when nothing answers.
const DEAD_TIME_EVERY: u64 = 200;

/// How long a host is left alone between two turns.
const PACE: Duration = Duration::from_millis(10);

/// How many looks are taken at what is used, in equal intervals. The first one is not counted: as much
/// has to have hung at once as ever will.
const QUARTERS: u32 = 4;

/// How long things may take to come to rest.
const REST: Duration = Duration::from_secs(20);

/// How much memory may come and go: the C library keeps the stacks of some threads.
const SLACK: u64 = 512 << 10;

/// How much less than that counts as growth, if it comes again and again.
const STEP: u64 = 32 << 10;

/// How often a daemon checks a path at most, in seconds (max_polling_interval's default is 20, the
/// shortest interval 5): every turn checks every path once.
const POLLING_INTERVAL: u64 = 5;

/// How often the progress of a long run is told.
const PROGRESS: Duration = Duration::from_secs(60);

/// One host in the long run.
struct Runner {
    name: String,
    rig: Rig,
    /// `OURS` or a name of C's.
    whose: &'static str,
    random: Random,
    devices: [Behaviour; DEVICES],
    turns: u64,
    /// At rest, so far.
    figures: Vec<Usage>,
}

/// Runs the hosts, each with a thread of this process that tells it what to do.
pub(crate) fn run(options: &Options, tally: &mut Tally) {
    let mut runners = Vec::new();
    let subjects = options.ours().into_iter().chain(options.c());
    for subject in subjects.filter(is_worth_it) {
        let name = format!("soak: {}", subject.name());
        match Runner::new(name.clone(), &subject, options.seed) {
            Ok(runner) => runners.push(runner),
            Err(Trouble::NotHere(why)) => tally.skip(format!("{name}: {why}")),
            Err(trouble) => tally.end(&name, Err(trouble.to_string())),
        }
    }
    if runners.is_empty() {
        return tally.skip(format!("soak: no plugins in {}", options.ours.display()));
    }
    let end = Instant::now() + options.seconds;
    let running = AtomicBool::new(true);
    let ended: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| tell_progress(&running));
        let hosts: Vec<_> = runners
            .iter_mut()
            .map(|runner| scope.spawn(move || runner.run(end, options.seconds)))
            .collect();
        let ended = hosts.into_iter().map(|host| host.join());
        let ended = ended.collect();
        running.store(false, Ordering::Relaxed);
        ended
    });
    for (mut runner, ended) in runners.into_iter().zip(ended) {
        tally.laps(runner.whose, &runner.rig.take_laps());
        match ended.unwrap_or_else(|_| Err(Trouble::Broken("panicked".to_owned()))) {
            Err(trouble) if !runner.rig.ours() => {
                tally.skip(format!("{}: {trouble}", runner.name));
            }
            outcome => tally.end(&runner.name, outcome.map_err(|trouble| trouble.to_string())),
        }
    }
}

fn tell_progress(running: &AtomicBool) {
    let start = Instant::now();
    let mut told = start;
    while running.load(Ordering::Relaxed) {
        if told.elapsed() > PROGRESS {
            told = Instant::now();
            println!("        soak: {} s", start.elapsed().as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The asynchrony of all but directio is one and the same. Those of C's plugins that wait for their
/// devices would hold up everybody else.
fn is_worth_it(subject: &Subject) -> bool {
    match subject.checker.as_str() {
        "directio" | "tur" => true,
        _ => subject.c.is_none() && subject.abi == Abi::V0_11,
    }
}

impl Runner {
    fn new(name: String, subject: &Subject, seed: u64) -> Result<Runner> {
        let devices: Vec<usize> = (0..PATHS).map(|path| path % DEVICES).collect();
        let mut rig = Rig::new(subject, &devices, LOOPS_FROM)?;
        for path in 0..PATHS {
            rig.init(path, timeout(path))?;
        }
        Ok(Runner {
            name,
            whose: subject.c.unwrap_or(OURS),
            rig,
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
                self.rig.call("free", path)?;
                self.rig.init(path, timeout(path))?;
            }
            _ => {}
        }
        self.round()
    }

    fn round(&mut self) -> Result<()> {
        self.rig.start_all()?;
        self.rig.pending().map(drop)
    }

    fn set(&mut self, device: usize, behaviour: Behaviour) -> Result<()> {
        match self.devices.get_mut(device) {
            Some(place) if *place != behaviour => *place = behaviour,
            _ => return Ok(()),
        }
        self.rig.set(device, behaviour)
    }

    fn all(&mut self, behaviour: Behaviour) -> Result<()> {
        (0..DEVICES).try_for_each(|device| self.set(device, behaviour))
    }

    /// What is used when nothing happens.
    fn at_rest(&mut self) -> Result<Usage> {
        self.all(Behaviour::Answers)?;
        let start = Instant::now();
        let mut looks = 0;
        // Where verdicts are not collected apart from checks, every look begins new ones.
        while self.rig.pending()? > 0 && (self.rig.collects() || looks < 10) {
            if start.elapsed() > REST {
                return Err(Trouble::Broken("verdicts are missing".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(5));
            looks += 1;
        }
        let mut usage = self.rig.usage()?;
        // C has no threads that would stay.
        while usage.threads > 1 {
            if start.elapsed() > REST {
                return Err(Trouble::Broken(format!("threads stay: {usage:?}")));
            }
            if self.rig.ours() {
                // C's contexts would be gone with paths in them.
                self.rig.reset()?;
            }
            std::thread::sleep(Duration::from_millis(1));
            usage = self.rig.usage()?;
        }
        Ok(usage)
    }

    /// The first and the last figures, unless something has grown.
    fn end(&mut self) -> Result<String> {
        let usage = self.at_rest()?;
        self.figures.push(usage);
        let (Some(first), Some(last)) = (self.figures.first(), self.figures.last()) else {
            return Err(Trouble::Broken("no figures".to_owned()));
        };
        let hours = (self.turns * POLLING_INTERVAL) as f64 / 3600.0;
        let found = format!(
            "{} turns, a daemon's {hours:.1} h\n        first: {}\n        last:  {}",
            self.turns,
            show(*first),
            show(*last)
        );
        let same = |usage: &Usage| (usage.threads, usage.descriptors, usage.contexts);
        if self.rig.ours() && (same(first) != same(last) || grows(&self.figures)) {
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

/// Whether more memory is used at every look than at the one before, or much more than at the first.
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
            contexts: 0,
            descriptors: 70,
            threads: 1,
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

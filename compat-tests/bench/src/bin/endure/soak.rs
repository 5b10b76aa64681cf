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
use compat_tests::layout::Era;
use compat_tests::{Result, Trouble};
use std::time::{Duration, Instant};

const PATHS: usize = 64;
const DEVICES: usize = 8;
/// Devices from here on are loop devices, where they are files.
const LOOPS_FROM: usize = 6;

/// So many turns lie between two times when nothing answers.
const DEAD_TIME_EVERY: u32 = 200;

/// How much memory may come and go: the C library keeps the stacks of some threads.
const SLACK: u64 = 512 << 10;

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
    first: Option<Usage>,
}

/// Runs the hosts.
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
        tally.skip(format!("soak: no plugins in {}", options.ours.display()));
    }
    let (start, mut told) = (Instant::now(), Instant::now());
    let mut turn = 0;
    while start.elapsed() < options.seconds && !runners.is_empty() {
        let warm = start.elapsed() > options.seconds / 4;
        each(&mut runners, tally, |runner| runner.turn(warm));
        // Now and then everything hangs, for long enough that time limits pass.
        if turn % DEAD_TIME_EVERY == 0 {
            each(&mut runners, tally, Runner::hang);
            std::thread::sleep(Duration::from_millis(1100));
            each(&mut runners, tally, Runner::round);
        }
        turn += 1;
        if told.elapsed() > PROGRESS {
            println!(
                "        soak: {turn} turns in {} s",
                start.elapsed().as_secs()
            );
            told = Instant::now();
        }
    }
    for mut runner in runners {
        let outcome = runner.end().map_err(|trouble| trouble.to_string());
        tally.laps(runner.whose, &runner.rig.take_laps());
        tally.end(&runner.name, outcome);
    }
}

/// The asynchrony of all but directio is one and the same. Those of C's plugins that wait for their
/// devices would hold up everybody else.
fn is_worth_it(subject: &Subject) -> bool {
    match subject.checker.as_str() {
        "directio" | "tur" => true,
        _ => subject.c.is_none() && subject.era == Era::C,
    }
}

/// Does something with every host; one with which it fails is out.
fn each(
    runners: &mut Vec<Runner>,
    tally: &mut Tally,
    mut what: impl FnMut(&mut Runner) -> Result<()>,
) {
    runners.retain_mut(|runner| match what(runner) {
        Ok(()) => true,
        Err(trouble) => {
            tally.end(&runner.name, Err(trouble.to_string()));
            false
        }
    });
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
            first: None,
        })
    }

    /// Something happens, and every path is checked.
    fn turn(&mut self, warm: bool) -> Result<()> {
        if warm && self.first.is_none() {
            self.first = Some(self.at_rest()?);
        }
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

    /// Every device hangs, with a check of every path.
    fn hang(&mut self) -> Result<()> {
        self.all(Behaviour::Hangs)?;
        self.round()
    }

    fn round(&mut self) -> Result<()> {
        self.rig.start_all()?;
        self.rig.pending().map(drop)
    }

    fn set(&mut self, device: usize, behaviour: Behaviour) -> Result<()> {
        if let Some(place) = self.devices.get_mut(device)
            && *place != behaviour
        {
            *place = behaviour;
            self.rig.set(device, behaviour)?;
        }
        Ok(())
    }

    fn all(&mut self, behaviour: Behaviour) -> Result<()> {
        (0..DEVICES).try_for_each(|device| self.set(device, behaviour))
    }

    /// What is used when nothing happens.
    fn at_rest(&mut self) -> Result<Usage> {
        self.all(Behaviour::Answers)?;
        let start = Instant::now();
        while self.rig.pending()? > 0 {
            if start.elapsed() > Duration::from_secs(20) {
                return Err(Trouble::Broken("verdicts are missing".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut usage = self.rig.usage()?;
        // C has no threads that would stay.
        while usage.threads > 1 {
            if start.elapsed() > Duration::from_secs(20) {
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
        let last = self.at_rest()?;
        let first = self.first.unwrap_or(last);
        let hours = self.turns * POLLING_INTERVAL / 3600;
        let found = format!(
            "{} turns, a daemon's {hours} h\n        first: {}\n        last:  {}",
            self.turns,
            show(first),
            show(last)
        );
        let same = |usage: Usage| (usage.threads, usage.descriptors, usage.contexts);
        let grown = same(first) != same(last) || last.resident > first.resident + SLACK;
        if grown && self.rig.ours() {
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

/// Numbers that look random, the same ones each time (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % limit
    }
}

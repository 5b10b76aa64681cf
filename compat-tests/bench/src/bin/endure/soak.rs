//! Many hosts at a time, for long: devices hang, come back, break, and paths vanish and return, all at
//! intervals far shorter than a daemon's. What a host uses must not grow.
//!
//! Figures are taken when everything has come to rest: every device answers, every verdict has been
//! collected, idle threads are gone. The first are taken after a quarter of the time, when as much has
//! hung at once as ever will.

use crate::model::Behaviour;
use crate::options::Options;
use crate::rig::{Rig, Usage};
use crate::tally::Tally;
use bench::paths::TIMEOUT_SECONDS;
use compat_tests::layout::Era;
use compat_tests::{Result, Trouble};
use std::path::Path;
use std::time::{Duration, Instant};

const PATHS: usize = 64;
const DEVICES: usize = 8;
/// Devices from here on are loop devices, where they are files.
const LOOPS_FROM: usize = 6;

/// So many turns lie between two times when nothing answers.
const DEAD_TIME_EVERY: u32 = 200;

/// How much memory may come and go: the C library keeps the stacks of some threads.
const SLACK: u64 = 512 << 10;

/// One host in the long run.
struct Runner {
    name: String,
    rig: Rig,
    random: Random,
    devices: [Behaviour; DEVICES],
    turns: u64,
    first: Option<Usage>,
}

/// Runs the hosts.
pub(crate) fn run(options: &Options, tally: &mut Tally) {
    let mut runners = Vec::new();
    for (checker, plugin) in options.plugins() {
        // The asynchrony of all but directio is one and the same.
        let eras: &[Era] = match checker.as_str() {
            "directio" | "tur" => &[Era::B, Era::C, Era::D],
            _ => &[Era::C],
        };
        for era in eras {
            let name = format!("soak: {checker} ({era:?})");
            match Runner::new(name.clone(), &plugin, *era, options.seed) {
                Ok(runner) => runners.push(runner),
                Err(Trouble::NotHere(why)) => tally.skip(format!("{name}: {why}")),
                Err(trouble) => tally.end(&name, Err(trouble.to_string())),
            }
        }
    }
    if runners.is_empty() {
        tally.skip(format!("soak: no plugins in {}", options.ours.display()));
    }
    let start = Instant::now();
    let mut turn = 0;
    while start.elapsed() < options.soak_for && !runners.is_empty() {
        let warm = start.elapsed() > options.soak_for / 4;
        each(&mut runners, tally, |runner| runner.turn(warm));
        // Now and then everything hangs, for long enough that time limits pass.
        if turn % DEAD_TIME_EVERY == 0 {
            each(&mut runners, tally, Runner::hang);
            std::thread::sleep(Duration::from_millis(1100));
            each(&mut runners, tally, Runner::round);
        }
        turn += 1;
    }
    for mut runner in runners {
        let outcome = runner.end().map_err(|trouble| trouble.to_string());
        tally.laps(true, &runner.rig.laps);
        tally.end(&runner.name, outcome);
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
    fn new(name: String, plugin: &Path, era: Era, seed: u64) -> Result<Runner> {
        let devices: Vec<usize> = (0..PATHS).map(|path| path % DEVICES).collect();
        let mut rig = Rig::new(plugin, era, true, &devices, LOOPS_FROM)?;
        for path in 0..PATHS {
            rig.call("init", &format!("{path} {}", timeout(path)))?;
        }
        Ok(Runner {
            name,
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
                self.rig.call("free", &path.to_string())?;
                let arguments = format!("{path} {}", timeout(path));
                if self.rig.call("init", &arguments)?.answer != 0 {
                    return Err(Trouble::Broken(format!("init refused path {path}")));
                }
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
        self.rig.tell("start")?;
        self.rig.tell("collect")
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
        while usage.threads > 1 {
            if start.elapsed() > Duration::from_secs(20) {
                return Err(Trouble::Broken(format!("threads stay: {usage:?}")));
            }
            self.rig.call("reset", "")?;
            std::thread::sleep(Duration::from_millis(1));
            usage = self.rig.usage()?;
        }
        Ok(usage)
    }

    /// The first and the last figures, unless something has grown.
    fn end(&mut self) -> Result<String> {
        let last = self.at_rest()?;
        let first = self.first.unwrap_or(last);
        let found = format!(
            "{} turns\n    first: {}\n    last:  {}",
            self.turns,
            show(first),
            show(last)
        );
        let same = |usage: Usage| (usage.threads, usage.descriptors, usage.contexts);
        if same(first) != same(last) || last.resident > first.resident + SLACK {
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

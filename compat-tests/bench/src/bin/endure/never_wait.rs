//! No call may wait for a device, whatever it does.
//!
//! A call counts as waiting when its thread slept for more than [`LIMIT`]. On a busy machine that can
//! happen to a call that only takes a lock, when other processes keep the holder from running: one of
//! the process, or of the whole system, as `io_setup` does. So the host runs with real-time priority
//! where that is allowed, and a sequence fails only when every repetition of it waits as well: a
//! device that hangs makes it wait each time.

use crate::model::Behaviour;
use crate::options::Options;
use crate::rig::{Kind, Rig, Usage};
use crate::sequence::{self, LIMIT};
use crate::tally::Tally;
use compat_tests::layout::Era;
use compat_tests::{Result, Trouble};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

/// How often a sequence is played when it waits.
const REPETITIONS: usize = 6;

/// The device of each path: two paths share one, as two openings of one disk do.
const DEVICES: [usize; 8] = [0, 1, 2, 3, 0, 1, 2, 3];

/// The last device is a loop device, if they are files at all.
const LOOPS_FROM: usize = 3;
const DEVICE_COUNT: usize = 4;

/// So many sequences lie between two looks at what is used.
const LOOK_EVERY: u32 = 50;

/// Tests every plugin in every era.
pub(crate) fn run(options: &Options, tally: &mut Tally) {
    let plugins = options.plugins();
    if plugins.is_empty() {
        tally.skip(format!(
            "never-wait: no plugins in {}",
            options.ours.display()
        ));
    }
    for (checker, plugin) in &plugins {
        for era in [Era::B, Era::C, Era::D] {
            let name = format!("never waits: {checker} ({era:?})");
            test(options, tally, &name, plugin, era, true);
        }
    }
    for plugin in &options.c {
        let checker = crate::options::checker_of(plugin).unwrap_or_default();
        if !["directio", "tur"].contains(&checker.as_str()) {
            tally.skip(format!(
                "never-wait: C's {checker}: its calls last until the device answers"
            ));
            continue;
        }
        let bytes = std::fs::read(plugin).unwrap_or_default();
        let era = match bytes.windows(18).any(|name| name == b"libcheck_need_wait") {
            true => Era::C,
            false => Era::B,
        };
        let name = format!("for comparison: C's {checker} ({era:?})");
        test(options, tally, &name, plugin, era, false);
    }
}

fn test(options: &Options, tally: &mut Tally, name: &str, plugin: &Path, era: Era, ours: bool) {
    let mut rig = match Rig::new(plugin, era, ours, &DEVICES, LOOPS_FROM) {
        Ok(rig) => rig,
        Err(Trouble::NotHere(why)) => return tally.skip(format!("{name}: {why}")),
        Err(trouble) => return tally.end(name, Err(trouble.to_string())),
    };
    let outcome = random(options, &mut rig, ours);
    tally.laps(ours, &rig.laps);
    let directio = rig.kind == Kind::Aio;
    drop(rig);
    tally.end(name, outcome);
    if directio && ours {
        for (what, crowd) in [
            (
                "1024 orphans",
                Crowd {
                    paths: 1024,
                    loops: false,
                },
            ),
            (
                "a full queue",
                Crowd {
                    paths: 300,
                    loops: true,
                },
            ),
        ] {
            let outcome = crowd.test(plugin, era, tally);
            tally.end(&format!("{name}, {what}"), outcome);
        }
    }
}

/// Random sequences; what was found, or the shortest sequence that fails.
fn random(options: &Options, rig: &mut Rig, ours: bool) -> std::result::Result<String, String> {
    let mut seed = [0; 32];
    for (place, byte) in seed.iter_mut().zip(options.seed.to_le_bytes()) {
        *place = byte;
    }
    let config = Config {
        cases: options.sequences,
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let base = rig.usage().map_err(|trouble| trouble.to_string())?;
    let rig = RefCell::new(rig);
    let played = RefCell::new(0);
    let strategy = sequence::sequences(DEVICES.len(), DEVICE_COUNT);
    let result = runner.run(&strategy, |steps| {
        let mut rig = rig.borrow_mut();
        once(&mut rig, &steps, ours).map_err(TestCaseError::fail)?;
        let mut played = played.borrow_mut();
        *played += 1;
        if *played % LOOK_EVERY == 0 && ours {
            rig.rest(base)
                .map_err(|trouble| TestCaseError::fail(trouble.to_string()))?;
        }
        Ok(())
    });
    match result {
        Ok(()) => Ok(rig.borrow().laps.summary()),
        Err(TestError::Fail(why, steps)) => Err(format!("{why}\n  {steps:?}")),
        Err(TestError::Abort(why)) => Err(why.to_string()),
    }
}

/// Plays one sequence, once more if it waits.
fn once(rig: &mut Rig, steps: &[sequence::Step], ours: bool) -> std::result::Result<(), String> {
    let mut asleep = Vec::new();
    for _ in 0..REPETITIONS {
        match sequence::play(rig, DEVICE_COUNT, steps) {
            Ok(longest) if longest <= LIMIT || !ours => return Ok(()),
            Ok(longest) => asleep.push(longest),
            Err(trouble) => return Err(trouble.to_string()),
        }
    }
    Err(format!("a call slept, each time: {asleep:?}"))
}

/// Many paths on one device that hangs.
struct Crowd {
    paths: usize,
    /// Through a loop device, whose queue they fill.
    loops: bool,
}

impl Crowd {
    fn test(
        &self,
        plugin: &Path,
        era: Era,
        tally: &mut Tally,
    ) -> std::result::Result<String, String> {
        let mut slow: Option<BTreeSet<&str>> = None;
        let mut summary = String::new();
        for _ in 0..REPETITIONS {
            let devices = vec![0; self.paths];
            let loops_from = if self.loops { 0 } else { 1 };
            let mut rig = Rig::new(plugin, era, true, &devices, loops_from)
                .map_err(|trouble| trouble.to_string())?;
            let played = self.play(&mut rig);
            tally.laps(true, &rig.laps);
            summary = rig.laps.summary();
            played.map_err(|trouble| format!("{trouble} ({summary})"))?;
            let now = rig.laps.slower_than(LIMIT);
            // What is slow each time.
            let always = slow.map_or(now.clone(), |slow| &slow & &now);
            if always.is_empty() {
                return Ok(summary);
            }
            slow = Some(always);
        }
        Err(summary)
    }

    /// All paths hang, are given up, and new ones come; in the end the device answers.
    fn play(&self, rig: &mut Rig) -> Result<()> {
        let base: Usage = rig.usage()?;
        rig.set(0, Behaviour::Hangs)?;
        for _ in 0..2 {
            for path in 0..self.paths {
                if rig.call("init", &format!("{path} 1000"))?.answer != 0 {
                    return Err(Trouble::Broken(format!("init refused path {path}")));
                }
            }
            for function in ["check", "need-wait", "pending", "check"] {
                for path in 0..self.paths {
                    rig.call(function, &path.to_string())?;
                }
            }
            rig.call("reset", "")?;
            for path in 0..self.paths {
                rig.call("free", &path.to_string())?;
            }
            rig.call("reset", "")?;
        }
        rig.set(0, Behaviour::Answers)?;
        rig.rest(base)
    }
}

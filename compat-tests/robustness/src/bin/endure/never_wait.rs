//! No call may wait for a device, whatever it does: thousands of random sequences for every plugin in
//! every ABI. C's plugins play a few, to show that waiting is noticed.
//!
//! Devices hang wherever a block or SCSI device can: in a read (of a file, and of a loop device over
//! one), in the submission of one (a full queue), in a command. Two things are not the plugins' to
//! change. `libcheck_init` and `libcheck_free` ask for flags and block sizes (fcntl, ioctl, fstat); of a
//! block device the kernel knows them, but of a *file* on a dead FUSE file system it asks the dead
//! server, and sleeps. And the kernel keeps a process that has ended until its asynchronous reads have.

use crate::judge::Findings;
use crate::options::{Options, Subject};
use crate::rig::{Kind, LIMIT, Rig, Usage};
use crate::scenes;
use crate::sequence::{self, Step};
use crate::tally::{OURS, Tally};
use harness::Trouble;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::RefCell;
use std::time::Duration;

/// The device of each path: two paths share one, as two openings of one disk do.
const DEVICES: [usize; 8] = [0, 1, 2, 3, 0, 1, 2, 3];

/// The last device is a loop device, if they are files at all.
const LOOPS_FROM: usize = 3;
const DEVICE_COUNT: usize = 4;

/// So many sequences lie between two looks at what is used.
const LOOK_EVERY: u32 = 50;

/// So many sequences are played to C's plugins.
const SEQUENCES_FOR_C: u32 = 4;

/// How long a sequence that fails is made shorter.
const SHRINK_FOR: Duration = Duration::from_secs(30);

/// Of so many sequences one may be slow the first time it is played, for the machine's sake.
const ONCE_ONLY_IN: usize = 20;

/// Tests every plugin.
pub(crate) fn run(options: &Options, tally: &mut Tally) {
    let ours = options.ours();
    if ours.is_empty() {
        tally.skip(format!(
            "never waits: no plugins in {}",
            options.ours.display()
        ));
    }
    for subject in &ours {
        let name = format!("never waits: {}", subject.name());
        with_rig(subject, &DEVICES, LOOPS_FROM, &name, tally, |rig, found| {
            random(options, rig, found)
        });
        tally.sequences(options.sequences.into());
        scenes::run(subject, tally);
    }
    if options.c.is_empty() {
        tally.skip("C's plugins, which show that waiting is noticed".to_owned());
    }
    for subject in &options.c() {
        let name = format!("noticed: {}", subject.name());
        with_rig(subject, &DEVICES, LOOPS_FROM, &name, tally, |rig, found| {
            noticed(options, rig, found, subject)
        });
        scenes::run_with_c(subject, tally);
    }
}

/// Makes a host and its devices, does something with them, and puts what was found on record.
pub(crate) fn with_rig(
    subject: &Subject,
    devices: &[usize],
    loops_from: usize,
    name: &str,
    tally: &mut Tally,
    what: impl FnOnce(&mut Rig, &mut Findings) -> Result<String, String>,
) {
    let mut rig = match Rig::new(subject, devices, loops_from) {
        Ok(rig) => rig,
        Err(Trouble::NotHere(why)) => return tally.skip(format!("{name}: {why}")),
        Err(trouble) => return tally.end(name, Err(trouble.to_string())),
    };
    rig.hurry();
    let mut found = Findings::default();
    let outcome = what(&mut rig, &mut found);
    found.record(tally, subject.c.unwrap_or(OURS));
    tally.end(name, outcome);
}

/// Random sequences; the shortest one that fails is printed.
fn random(options: &Options, rig: &mut Rig, found: &mut Findings) -> Result<String, String> {
    let base = rig.usage().map_err(|trouble| trouble.to_string())?;
    let played = RefCell::new((rig, found, 0));
    let result = runner(options).run(
        &sequence::sequences(DEVICES.len(), DEVICE_COUNT),
        |steps: Vec<Step>| {
            let (rig, found, count) = &mut *played.borrow_mut();
            *count += 1;
            once(
                rig,
                found,
                &steps,
                (*count % LOOK_EVERY == 0).then_some(base),
            )
            .map_err(TestCaseError::fail)
        },
    );
    let (_, found, _) = played.into_inner();
    match result {
        Ok(()) if found.once_only() * ONCE_ONLY_IN > options.sequences as usize => Err(format!(
            "{} of {} sequences held a call up the first time",
            found.once_only(),
            options.sequences
        )),
        Ok(()) => Ok(found.laps.summary()),
        Err(TestError::Fail(why, steps)) => Err(format!("{why}\n        {steps:?}")),
        Err(TestError::Abort(why)) => Err(why.to_string()),
    }
}

fn once(
    rig: &mut Rig,
    found: &mut Findings,
    steps: &[Step],
    base: Option<Usage>,
) -> Result<(), String> {
    found.play(rig, |rig| sequence::play(rig, DEVICE_COUNT, steps))?;
    match base {
        Some(base) => rig.rest(base).map_err(|trouble| trouble.to_string()),
        None => Ok(()),
    }
}

fn runner(options: &Options) -> TestRunner {
    let mut seed = [0; 32];
    for (place, byte) in seed.iter_mut().zip(options.seed.to_le_bytes()) {
        *place = byte;
    }
    let config = Config {
        cases: options.sequences,
        failure_persistence: None,
        max_shrink_iters: 200,
        max_shrink_time: SHRINK_FOR.as_millis() as u32,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

/// A few of the same sequences with a plugin of C's. Five of the SCSI checkers have to be noticed:
/// they do their commands on the caller's thread.
fn noticed(
    options: &Options,
    rig: &mut Rig,
    found: &mut Findings,
    subject: &Subject,
) -> Result<String, String> {
    let sequences = sequence::sequences(DEVICES.len(), DEVICE_COUNT);
    let mut runner = runner(options);
    for _ in 0..SEQUENCES_FOR_C {
        let steps = sequences
            .new_tree(&mut runner)
            .map_err(|why| why.to_string())?;
        let played = sequence::play(rig, DEVICE_COUNT, &steps.current());
        found.laps.add(&rig.take_laps());
        played.map_err(|trouble| trouble.to_string())?;
    }
    let summary = found.laps.summary();
    let waits = rig.kind() == Kind::Scsi && subject.checker != "tur";
    if waits && found.laps.slower_than(LIMIT).is_empty() {
        return Err(format!("it waits, and that was not noticed: {summary}"));
    }
    Ok(summary)
}

//! The asynchronous protocol: devices that answer at once, late, much too late or never, and checkers
//! that are freed meanwhile.
//!
//! The C plugin has the protocol in tur only. Time is compared in coarse buckets: every life begins a
//! tenth of a second after a full second of the monotonic clock, and the time limit counts in full
//! seconds.

use crate::Checker;
use crate::device::{Answer, Device, Pace, Reply};
use crate::host;
use crate::instance::Instance;
use crate::pair::{Pair, Tally};
use compat_tests::plugin::Plugin;
use std::ffi::{c_int, c_short};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

const PENDING: c_int = 6;
const TIMEOUT: c_int = 7;

/// The longest that a call may take: the millisecond for which `check` waits with hosts of this era,
/// and what a busy machine may add to it.
const LONGEST_CALL: Duration = Duration::from_millis(500);

/// Whose plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    C,
    Ours,
}

/// What a check is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// It is still running.
    Running,
    /// It did not end in time.
    TimedOut,
    /// What the device says, after one more look if need be.
    Verdict,
}
use Expected::{Running, TimedOut, Verdict};

/// One life on a stage of its own.
struct Stage<'a> {
    checker: Checker,
    side: Side,
    instance: Instance<'a>,
    device: Arc<Device>,
    start: Instant,
    wrong: Vec<String>,
}

/// The verdict on a device that has nothing to say but "good".
fn healthy(checker: Checker) -> (c_int, c_short) {
    match checker {
        Checker::Rdac => (5, 6),
        Checker::EmcClariion => (2, 103),
        _ => (3, 4),
    }
}

/// How many commands a check of such a device takes.
fn commands(checker: Checker) -> usize {
    match checker {
        Checker::HpSw | Checker::CcissTur => 2,
        _ => 1,
    }
}

/// The message ids of a running and of a late check.
fn ids(checker: Checker) -> (c_short, c_short) {
    match checker {
        Checker::Rdac | Checker::EmcClariion => (109, 110),
        _ => (100, 101),
    }
}

/// A reply that makes the checker send another command.
fn to_be_continued(checker: Checker) -> Reply {
    match checker {
        Checker::HpSw | Checker::CcissTur => Reply::GOOD,
        _ => {
            let mut sense = [0; 32];
            (sense[0], sense[2]) = (0x70, 6);
            Reply {
                status: 2,
                host: 7,
                info: 1,
                sense,
                sense_length: 18,
                ..Reply::GOOD
            }
        }
    }
}

impl Stage<'_> {
    /// Sleeps until this many milliseconds after the beginning.
    fn at(&self, millis: u64) {
        let moment = self.start + Duration::from_millis(millis);
        sleep(moment.saturating_duration_since(Instant::now()));
    }

    fn answer(&self, answers: &[Answer]) {
        self.device.answer(answers);
    }

    fn call(&mut self) -> (c_int, c_short) {
        self.instance.set_message(0);
        let begin = Instant::now();
        let state = self.instance.check();
        self.took(begin.elapsed());
        (state, self.instance.message())
    }

    fn took(&mut self, time: Duration) {
        if time > LONGEST_CALL {
            self.wrong.push(format!("a call took {time:?}"));
        }
    }

    fn check(&mut self, expected: Expected) {
        let (running, timed_out) = ids(self.checker);
        let running = match self.side {
            // T8: the message of a running check came with 0.9.5.
            Side::C => (PENDING, 0),
            Side::Ours => (PENDING, running),
        };
        let mut found = self.call();
        if expected == Verdict && found == running {
            sleep(Duration::from_millis(100));
            found = self.call();
        }
        let wanted = match expected {
            Running => running,
            TimedOut => (TIMEOUT, timed_out),
            Verdict => healthy(self.checker),
        };
        if found != wanted {
            let when = self.start.elapsed().as_millis();
            self.wrong.push(format!(
                "after {when} ms: {wanted:?} expected, {found:?} found"
            ));
        }
    }

    /// How many commands there have been.
    fn count(&mut self, expected: usize) {
        let found = self.device.count();
        if found != expected {
            let when = self.start.elapsed().as_millis();
            self.wrong.push(format!(
                "after {when} ms: {expected} commands expected, {found} found"
            ));
        }
    }
}

fn hung() -> Answer {
    Answer::from(Reply::GOOD).at(Pace::Hung)
}

fn instant(stage: &mut Stage<'_>) {
    let each = commands(stage.checker);
    for round in 1..=20 {
        stage.check(Verdict);
        stage.count(round * each);
        // C starts its next thread beside one that has answered, but is not gone yet, and says so.
        sleep(Duration::from_millis(20));
    }
}

fn slow(stage: &mut Stage<'_>) {
    stage.answer(&[Answer::from(Reply::GOOD).at(Pace::After(Duration::from_millis(400)))]);
    stage.check(Running);
    stage.at(150);
    stage.check(Running);
    stage.at(700);
    stage.check(Verdict);
    stage.count(commands(stage.checker));
}

fn ends_in_time_and_is_seen_too_late(stage: &mut Stage<'_>) {
    stage.answer(&[Answer::from(Reply::GOOD).at(Pace::After(Duration::from_millis(400)))]);
    stage.check(Running);
    stage.at(2300);
    stage.check(Verdict);
    stage.count(commands(stage.checker));
}

fn hangs_once(stage: &mut Stage<'_>) {
    stage.answer(&[hung()]);
    stage.check(Running);
    stage.at(600);
    stage.check(Running);
    stage.at(1500);
    stage.check(Running);
    stage.at(2300);
    stage.check(TimedOut);
    stage.count(1);
    // One run may start beside the hung one.
    stage.check(Verdict);
    stage.count(1 + commands(stage.checker));
    stage.device.release();
    sleep(Duration::from_millis(200));
    stage.check(Verdict);
}

fn hangs_twice(stage: &mut Stage<'_>) {
    stage.answer(&[hung(), hung()]);
    stage.check(Running);
    stage.at(2300);
    stage.check(TimedOut);
    stage.check(Running);
    stage.at(3500);
    stage.check(Running);
    stage.at(4300);
    stage.check(TimedOut);
    // And no third.
    for _ in 0..5 {
        stage.check(TimedOut);
    }
    stage.count(2);
    stage.device.release();
    sleep(Duration::from_millis(200));
    stage.check(Verdict);
}

fn comes_back_after_the_timeout(stage: &mut Stage<'_>) {
    stage.answer(&[hung()]);
    stage.check(Running);
    stage.at(2300);
    stage.check(TimedOut);
    stage.device.release();
    sleep(Duration::from_millis(200));
    stage.device.take_sent();
    stage.check(Verdict);
    stage.count(commands(stage.checker));
}

fn no_time_at_all(stage: &mut Stage<'_>) {
    stage.answer(&[hung()]);
    stage.check(Running);
    stage.at(500);
    stage.check(Running);
    stage.at(1200);
    stage.check(TimedOut);
    stage.count(1);
    stage.device.release();
}

/// A life that ends while a command hangs. Says how many commands there were in the end.
fn freed_while_hung(mut stage: Stage<'_>) -> (usize, Vec<String>) {
    let again = Answer::from(to_be_continued(stage.checker));
    stage.answer(&[again.clone().at(Pace::Hung), again.clone(), again]);
    stage.check(Running);
    stage.at(300);
    let begin = Instant::now();
    stage.instance.free();
    let time = begin.elapsed();
    if time > LONGEST_CALL {
        stage.wrong.push(format!("libcheck_free took {time:?}"));
    }
    stage.device.release();
    sleep(Duration::from_millis(300));
    (stage.device.count(), stage.wrong)
}

type Scene = (&'static str, u32, fn(&mut Stage<'_>));

/// Name, time limit in seconds, and what happens.
const SCENES: [Scene; 7] = [
    ("instant", 1, instant),
    ("slow", 1, slow),
    (
        "ends in time and is seen too late",
        1,
        ends_in_time_and_is_seen_too_late,
    ),
    ("hangs once", 1, hangs_once),
    ("hangs twice", 1, hangs_twice),
    (
        "comes back after the timeout",
        1,
        comes_back_after_the_timeout,
    ),
    ("no time at all", 0, no_time_at_all),
];

/// A tenth of a second after the next full second of the monotonic clock, by which time limits count.
fn next_beat() -> Instant {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec of ours.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let into = Duration::from_nanos(now.tv_nsec.unsigned_abs());
    Instant::now() + Duration::from_millis(1100) - into
}

/// What a life left behind: what was wrong, and what was logged at levels 0 to 3.
type Outcome = (Vec<String>, Vec<String>);

fn play(
    checker: Checker,
    side: Side,
    plugin: &Plugin,
    fd: c_int,
    timeout: u32,
    scene: impl FnOnce(Stage<'_>) -> Vec<String>,
) -> Outcome {
    let device = Device::install(fd, libc::makedev(8, 32));
    host::take_lines();
    let mut instance = Instance::new(plugin, fd, timeout);
    let mut wrong = Vec::new();
    if instance.init() != 0 {
        wrong.push("libcheck_init failed".to_owned());
    }
    let start = next_beat();
    sleep(start.saturating_duration_since(Instant::now()));
    wrong.extend(scene(Stage {
        checker,
        side,
        instance,
        device,
        start,
        wrong: Vec::new(),
    }));
    let lines = host::take_lines()
        .into_iter()
        // How often somebody looks at a running check depends on the machine.
        .filter(|(level, line)| *level <= 3 && !line.ends_with("not finished\n"))
        .map(|(level, line)| format!("{level} {line}"))
        .collect();
    (wrong, lines)
}

/// Plays every scene with this checker, all at the same time.
pub(crate) fn play_all(pair: &Pair) -> Tally {
    let mut tally = Tally::default();
    let checker = pair.checker;
    let mut sides = vec![(Side::Ours, &pair.ours)];
    if checker == Checker::Tur {
        sides.push((Side::C, &pair.c));
        host::set_thread(pair.c.thread());
    }
    std::thread::scope(|scope| {
        let mut fd = 2_000_000 + 1000 * checker as c_int;
        let mut scenes = Vec::new();
        for (name, timeout, scene) in SCENES {
            let sides: Vec<_> = sides
                .iter()
                .map(|&(side, plugin)| {
                    fd += 1;
                    scope.spawn(move || {
                        play(checker, side, plugin, fd, timeout, |mut stage| {
                            scene(&mut stage);
                            stage.instance.free();
                            stage.wrong
                        })
                    })
                })
                .collect();
            scenes.push((name, sides));
        }
        let freed: Vec<_> = sides
            .iter()
            .map(|&(side, plugin)| {
                fd += 1;
                scope.spawn(move || {
                    let mut count = 0;
                    let outcome = play(checker, side, plugin, fd, 1, |stage| {
                        let wrong;
                        (count, wrong) = freed_while_hung(stage);
                        wrong
                    });
                    (side, count, outcome)
                })
            })
            .collect();
        for (name, sides) in scenes {
            let what = format!("{}: {name}", checker.name());
            let panicked = |_| (vec!["it panicked".to_owned()], Vec::new());
            let outcomes: Vec<Outcome> = sides
                .into_iter()
                .map(|side| side.join().unwrap_or_else(panicked))
                .collect();
            judge(&what, &outcomes, &mut tally);
        }
        for side in freed {
            let Ok((side, count, outcome)) = side.join() else {
                tally.mismatch(checker.name(), "a panic in `freed while hung`");
                continue;
            };
            let what = format!("{}: freed while hung, {side:?}", checker.name());
            judge(&what, &[outcome], &mut tally);
            match (side, count) {
                (Side::Ours, 1) => {}
                // T7: the C thread goes on with its retries.
                (Side::C, 2..) => {
                    tally.rows.insert("T7");
                }
                _ => tally.mismatch(&what, &format!("{count} commands")),
            }
        }
    });
    tally
}

/// Every side must have been right, and both must have logged the same.
fn judge(what: &str, outcomes: &[Outcome], tally: &mut Tally) {
    tally.lives += 1;
    let wrong: Vec<&str> = outcomes
        .iter()
        .flat_map(|(wrong, _)| wrong)
        .map(String::as_str)
        .collect();
    if !wrong.is_empty() {
        tally.mismatch(what, &wrong.join("\n"));
    }
    match outcomes {
        [(_, ours), (_, c)] if ours != c => {
            tally.mismatch(what, &format!("C logged {c:#?}, ours {ours:#?}"));
        }
        _ => {}
    }
}

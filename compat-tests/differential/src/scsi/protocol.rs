//! The asynchronous protocol: devices that answer at once, late, much too late or never, and checkers
//! that are freed meanwhile.
//!
//! Before 0.15.0 upstream has the protocol in tur only; since then the host keeps it for all checkers
//! but directio. Time is compared in coarse buckets: every life begins a tenth of a second after a
//! full second of the monotonic clock, and the time limit counts in full seconds, but for the host of
//! 0.15.0. Every line that a call logs has to be one that follows from what it returned.

use crate::scsi::Checker;
use crate::scsi::case::{Log, Side, TAS_LINE};
use crate::scsi::device::{Answer, Device, Pace, Reply, SENSE};
use crate::scsi::host;
use crate::scsi::instance::Instance;
use crate::scsi::lines::{Call, Outcome};
use crate::scsi::loaded::Loaded;
use crate::scsi::pair::{Pair, Tally};
use harness::abi::Abi;
use std::collections::BTreeSet;
use std::ffi::{c_int, c_short};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PENDING: c_int = 6;
const TIMEOUT: c_int = 7;

/// The longest that a call may take: the millisecond for which `check` waits with hosts of ABI 0.7.9, and
/// what a busy machine may add to it.
const LONGEST_CALL: Duration = Duration::from_millis(500);

/// How long a daemon of ABI 0.11 or D waits when `libcheck_need_wait` says yes.
const HOST_WAIT: Duration = Duration::from_millis(5);

/// How often somebody comes back for the verdict of an instant device.
const LOOKS: usize = 3;

/// What a check is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// It is still running.
    Running,
    /// It did not end in time.
    TimedOut,
    /// What the device says, after some more looks if need be.
    Verdict,
    /// This state with this message, likewise.
    Says(c_int, c_short),
}
use Expected::{Running, Says, TimedOut, Verdict};

/// One life on a stage of its own.
struct Stage<'a> {
    checker: Checker,
    abi: Abi,
    side: Side,
    instance: Instance<'a>,
    device: &'a Device,
    log: Log<'a>,
    start: Instant,
    wrong: Vec<String>,
    /// The rows of the ledger that showed.
    rows: BTreeSet<&'static str>,
    /// The host had to wait in the last call.
    waited: bool,
}

/// The verdict on a device that has nothing to say but "good".
pub(crate) fn healthy(checker: Checker) -> (c_int, c_short) {
    match checker {
        Checker::Rdac => (5, 6),
        Checker::EmcClariion => (2, 103),
        _ => (3, 4),
    }
}

/// How many commands a check of such a device takes.
pub(crate) fn commands(checker: Checker) -> usize {
    match checker {
        Checker::HpSw | Checker::CcissTur => 2,
        _ => 1,
    }
}

/// The message ids of a running and of a late check.
pub(crate) fn ids(checker: Checker, abi: Abi, side: Side) -> (c_short, c_short) {
    match (side, abi, checker) {
        // T8: the message of a running check came with 0.9.5.
        (Side::C, Abi::V0_7_9, _) => (0, 101),
        // A3: the host's own.
        (Side::C, Abi::V0_15, _) => (10, 9),
        (_, _, Checker::Rdac | Checker::EmcClariion) => (109, 110),
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

    /// What a daemon does with a path each second.
    fn call(&mut self) -> (c_int, c_short) {
        self.instance.set_message(0);
        let begin = Instant::now();
        let mut state = self.instance.check();
        self.logged(Call::Check, state);
        self.waited = self.instance.need_wait();
        self.took(begin.elapsed());
        if self.waited {
            sleep(HOST_WAIT);
        }
        let begin = Instant::now();
        if let Some(pending) = self.instance.pending() {
            state = pending;
            self.logged(Call::Pending, state);
        }
        self.took(begin.elapsed());
        (state, self.instance.message())
    }

    /// The lines of a call that returned this have to be those of the protocol.
    fn logged(&mut self, call: Call, state: c_int) {
        let (running, timed_out) = ids(self.checker, self.abi, self.side);
        let outcome = match (state, self.instance.message()) {
            found if found == (PENDING, running) => Outcome::Running,
            found if found == (TIMEOUT, timed_out) => Outcome::TimedOut,
            (state, _) => Outcome::Verdict(state),
        };
        let mut own = self.log.after(call, outcome);
        // The preparation of a path may have ended late.
        own.retain(|(_, line)| self.checker != Checker::Rdac || line != TAS_LINE);
        if !own.is_empty() {
            self.wrong
                .push(format!("{call:?}, {outcome:?}: {own:?} logged"));
        }
    }

    /// Lets hung commands go and gives them time to end.
    fn release(&mut self) {
        self.log.released();
        self.device.release();
        sleep(Duration::from_millis(200));
    }

    fn took(&mut self, time: Duration) {
        if time > LONGEST_CALL {
            self.wrong.push(format!("a call took {time:?}"));
        }
    }

    fn check(&mut self, expected: Expected) {
        let (running, timed_out) = ids(self.checker, self.abi, self.side);
        let running = (PENDING, running);
        let mut found = self.call();
        for _ in 0..LOOKS {
            if !matches!(expected, Running | TimedOut) && found == running {
                sleep(Duration::from_millis(100));
                found = self.call();
            }
        }
        let wanted = match expected {
            Running => running,
            TimedOut => (TIMEOUT, timed_out),
            Verdict => healthy(self.checker),
            Says(state, message) => (state, message),
        };
        if found != wanted {
            let when = self.start.elapsed().as_millis();
            self.wrong.push(format!(
                "after {when} ms: {wanted:?} expected, {found:?} found"
            ));
        }
    }

    /// Whether this is C in a host of 0.15.0, of which a row of the ledger tells something that the
    /// scene has to expect.
    fn is_0_15(&mut self, row: &'static str) -> bool {
        let is = (self.side, self.abi) == (Side::C, Abi::V0_15);
        if is {
            self.rows.insert(row);
        }
        is
    }

    /// The host waits for a check that has just begun, if its ABI has that, but not once it has
    /// looked.
    fn waits_once(&mut self) {
        let first = self.abi >= Abi::V0_11;
        if self.waited != first {
            self.wrong
                .push(format!("need_wait was not {first} before the first look"));
        }
        let again = self.is_0_15("A9");
        if self.instance.need_wait() != again {
            self.wrong
                .push(format!("need_wait was not {again} after the first look"));
        }
    }

    /// How many commands there have been, once those have been sent that are under way to the device.
    fn count_soon(&mut self, expected: usize) {
        sleep(Duration::from_millis(200));
        self.count(expected);
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
    stage.waits_once();
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
    if stage.is_0_15("A4") {
        stage.at(900);
        stage.check(Running);
        stage.at(1500);
    } else {
        stage.at(1500);
        stage.check(Running);
        stage.at(2300);
    }
    stage.check(TimedOut);
    stage.count(1);
    // One run may start beside the hung one.
    stage.check(Verdict);
    stage.count(1 + commands(stage.checker));
    stage.release();
    stage.check(Verdict);
}

fn hangs_twice(stage: &mut Stage<'_>) {
    stage.answer(&[hung(), hung(), hung(), hung()]);
    stage.check(Running);
    stage.at(2300);
    stage.check(TimedOut);
    stage.check(Running);
    if stage.is_0_15("A7") {
        // The second is waited for, but only until the next check.
        stage.at(3500);
        stage.check(TimedOut);
        stage.check(TimedOut);
        stage.check(Running);
        stage.count_soon(3);
        stage.at(5000);
        stage.check(TimedOut);
        stage.check(Running);
        stage.count_soon(4);
    } else {
        stage.at(3500);
        stage.check(Running);
        stage.at(4300);
        stage.check(TimedOut);
        // And no third.
        for _ in 0..5 {
            stage.check(TimedOut);
        }
        stage.count(2);
    }
    stage.release();
    stage.check(Verdict);
}

/// Beside each hung run one ends, so that no two of those that upstream counts hang in a row.
fn every_second_hangs(stage: &mut Stage<'_>) {
    for (start, late) in [(0, 2300), (2300, 4300)] {
        stage.at(start);
        stage.answer(&[hung()]);
        stage.check(Running);
        stage.at(late);
        stage.check(TimedOut);
        stage.answer(&[]);
        if start == 0 {
            stage.check(Verdict);
        }
    }
    let hung = 2 + commands(stage.checker);
    match stage.side {
        Side::C => {
            stage.rows.insert("A15");
            stage.check(Verdict);
            stage.count(hung + commands(stage.checker));
        }
        Side::Ours => {
            stage.check(TimedOut);
            stage.check(TimedOut);
            stage.count(hung);
        }
    }
    stage.release();
    stage.check(Verdict);
}

/// T9: hosts before 0.14 have no word for a target without access, but the log of ours has.
fn no_access(stage: &mut Stage<'_>) {
    const DISCONNECTED: c_int = 10;
    let mut sense = [0; SENSE];
    (sense[0], sense[2], sense[12]) = (0x70, 5, 0x25);
    stage.answer(&[Answer::from(Reply {
        status: 2,
        info: 1,
        sense,
        sense_length: 18,
        ..Reply::GOOD
    })]);
    if stage.abi < Abi::V0_14 {
        if stage.side == Side::Ours {
            stage.log.found(DISCONNECTED);
            stage.rows.insert("T9");
        }
        stage.check(Says(2, 5));
    } else {
        stage.check(Says(DISCONNECTED, 8));
    }
}

fn comes_back_after_the_timeout(stage: &mut Stage<'_>) {
    stage.answer(&[hung()]);
    stage.check(Running);
    stage.at(2300);
    stage.check(TimedOut);
    stage.release();
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
    if stage.is_0_15("A5") {
        stage.check(Running);
        stage.at(3500);
        stage.check(Running);
    } else {
        stage.check(TimedOut);
    }
    stage.count(1);
    stage.release();
    stage.check(Verdict);
}

/// A time limit in seconds whose microseconds do not fit into 32 bits: 327 milliseconds are left.
const HALF_A_DAY: u32 = 42_950;

fn half_a_day(stage: &mut Stage<'_>) {
    stage.answer(&[Answer::from(Reply::GOOD).at(Pace::After(Duration::from_millis(900)))]);
    stage.check(Running);
    stage.at(600);
    if stage.is_0_15("A6") {
        stage.check(TimedOut);
    } else {
        stage.check(Running);
    }
    stage.at(1200);
    stage.check(Verdict);
}

/// A life that ends while a command hangs. Says how many commands there were in the end.
fn freed_while_hung(mut stage: Stage<'_>) -> (usize, Outcomes) {
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
    stage.log.released();
    stage.device.release();
    sleep(Duration::from_millis(300));
    (
        stage.device.count(),
        Outcomes::of(stage.log, stage.wrong, stage.rows),
    )
}

type Scene = (&'static str, u32, fn(&mut Stage<'_>));

/// Name, time limit in seconds, and what happens.
const SCENES: [Scene; 9] = [
    ("instant", 1, instant),
    ("slow", 1, slow),
    (
        "ends in time and is seen too late",
        1,
        ends_in_time_and_is_seen_too_late,
    ),
    ("hangs once", 1, hangs_once),
    ("hangs twice", 1, hangs_twice),
    ("every second check hangs", 1, every_second_hangs),
    (
        "comes back after the timeout",
        1,
        comes_back_after_the_timeout,
    ),
    ("no time at all", 0, no_time_at_all),
    ("half a day", HALF_A_DAY, half_a_day),
];

/// Those of tur alone.
const TUR_SCENES: [Scene; 1] = [("no access", 1, no_access)];

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

/// What a life left behind.
#[derive(Default)]
struct Outcomes {
    wrong: Vec<String>,
    rows: BTreeSet<&'static str>,
    /// How many lines were logged.
    lines: u64,
}

impl Outcomes {
    /// What became of a path that has been freed; the log may still get lines of other threads.
    fn of(mut log: Log<'_>, mut wrong: Vec<String>, mut rows: BTreeSet<&'static str>) -> Outcomes {
        let own = log.after(Call::Free, Outcome::Running);
        if !own.is_empty() {
            wrong.push(format!("libcheck_free logged {own:?}"));
        }
        log.end();
        wrong.append(&mut log.remarks.wrong);
        rows.append(&mut log.remarks.rows);
        Outcomes {
            wrong,
            rows,
            lines: log.remarks.lines,
        }
    }
}

fn play(
    pair: &Pair,
    side: Side,
    fd: c_int,
    timeout: u32,
    scene: impl FnOnce(Stage<'_>) -> Outcomes,
) -> Outcomes {
    let device = Device::install(fd);
    let mut log = Log::new(pair.checker, plugin(pair, side), side, pair.abi, &device);
    let mut instance = Instance::new(plugin(pair, side), pair.abi, fd, timeout);
    let mut wrong = Vec::new();
    if instance.init() != 0 {
        wrong.push("libcheck_init failed".to_owned());
    }
    // What the preparation of a path logs is compared elsewhere.
    log.take();
    let start = next_beat();
    sleep(start.saturating_duration_since(Instant::now()));
    scene(Stage {
        checker: pair.checker,
        abi: pair.abi,
        side,
        instance,
        device: &device,
        log,
        start,
        wrong,
        rows: BTreeSet::new(),
        waited: false,
    })
}

fn plugin(pair: &Pair, side: Side) -> &Loaded {
    match side {
        Side::C => &pair.c,
        Side::Ours => &pair.ours,
    }
}

/// Who plays: C as well where it does not hold its host up.
fn sides(pair: &Pair) -> Vec<Side> {
    match &pair.c {
        Loaded::Entries(c) if pair.checker == Checker::Tur => {
            host::set_thread(c.thread());
            vec![Side::Ours, Side::C]
        }
        Loaded::Entries(_) => vec![Side::Ours],
        Loaded::Function(..) => vec![Side::Ours, Side::C],
    }
}

/// Plays every scene with this checker, all at the same time.
pub(crate) fn play_all(pair: &Pair) -> Tally {
    let mut tally = Tally::default();
    let checker = pair.checker;
    let sides = sides(pair);
    std::thread::scope(|scope| {
        let mut fd = 2_000_000 + 1000 * checker as c_int;
        let mut scenes = Vec::new();
        let of_tur = TUR_SCENES.iter().filter(|_| checker == Checker::Tur);
        for &(name, timeout, scene) in SCENES.iter().chain(of_tur) {
            let sides: Vec<_> = sides
                .iter()
                .map(|&side| {
                    fd += 1;
                    scope.spawn(move || {
                        play(pair, side, fd, timeout, |mut stage| {
                            scene(&mut stage);
                            stage.instance.free();
                            Outcomes::of(stage.log, stage.wrong, stage.rows)
                        })
                    })
                })
                .collect();
            scenes.push((name, sides));
        }
        let freed: Vec<_> = sides
            .iter()
            .map(|&side| {
                fd += 1;
                scope.spawn(move || {
                    let mut count = 0;
                    let outcome = play(pair, side, fd, 1, |stage| {
                        let outcome;
                        (count, outcome) = freed_while_hung(stage);
                        outcome
                    });
                    (side, count, outcome)
                })
            })
            .collect();
        for (name, sides) in scenes {
            let what = format!("{}: {name}", checker.name());
            let outcomes: Vec<Outcomes> = sides
                .into_iter()
                .map(|side| side.join().unwrap_or_else(|_| panicked()))
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

fn panicked() -> Outcomes {
    Outcomes {
        wrong: vec!["it panicked".to_owned()],
        ..Outcomes::default()
    }
}

/// Every side must have been right.
fn judge(what: &str, outcomes: &[Outcomes], tally: &mut Tally) {
    tally.lives += 1;
    let mut wrong: Vec<&str> = Vec::new();
    for outcome in outcomes {
        wrong.extend(outcome.wrong.iter().map(String::as_str));
        tally.rows.extend(&outcome.rows);
        tally.lines += outcome.lines;
    }
    if !wrong.is_empty() {
        tally.mismatch(what, &wrong.join("\n"));
    }
}

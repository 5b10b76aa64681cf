//! Cases that are run one after the other: they change what holds for the whole process, or are about
//! the calls around the checks.

use crate::scsi::Checker;
use crate::scsi::case::{Log, Side, TAS_LINE};
use crate::scsi::device::{Answer, Device, Pace, Reply};
use crate::scsi::host;
use crate::scsi::instance::Instance;
use crate::scsi::lines::{Call, Outcome};
use crate::scsi::loaded::Loaded;
use crate::scsi::pair::{Pair, Tally, dies};
use crate::scsi::protocol::{commands, healthy, ids};
use harness::abi::Abi;
use std::collections::BTreeSet;
use std::ffi::{c_int, c_short};
use std::thread::sleep;
use std::time::{Duration, Instant};

const UNCHECKED: c_int = 1;
const PENDING: c_int = 6;

/// The longest that a call may take which must not wait for the device.
const LONGEST_CALL: Duration = Duration::from_millis(500);

/// What a case gives: the rows of the ledger that showed.
type Found = Result<BTreeSet<&'static str>, String>;

/// Runs all of them.
pub(crate) fn run_all(pair: &Pair) -> Tally {
    let mut tally = Tally::default();
    let mut fd = 3_000_000 + 1000 * pair.checker as c_int;
    let mut count = |tally: &mut Tally, what: &str, case: &dyn Fn(&Device) -> Found| {
        fd += 1;
        tally.lives += 1;
        match case(&Device::install(fd)) {
            Ok(rows) => tally.rows.extend(rows),
            Err(why) => tally.mismatch(&format!("{}: {what}", pair.checker.name()), &why),
        }
        host::set_sync(true);
    };
    for side in [Side::C, Side::Ours] {
        let in_flight = match plugin(pair, side) {
            _ if side == Side::Ours => true,
            Loaded::Entries(_) => pair.checker == Checker::Tur,
            Loaded::Function(..) => true,
        };
        if in_flight {
            let what = format!("the host waits beside a run in flight, {side:?}");
            count(&mut tally, &what, &|device| {
                synchronous_beside(pair, side, device)
            });
        }
        if pair.checker == Checker::Rdac && pair.abi < Abi::V0_15 {
            let what = format!("the preparation hangs, {side:?}");
            count(&mut tally, &what, &|device| {
                hung_preparation(pair, side, device)
            });
        }
    }
    if pair.abi < Abi::V0_15 {
        count(&mut tally, "no libcheck_init", &|device| {
            uninitialised(pair, device)
        });
    }
    tally
}

fn plugin(pair: &Pair, side: Side) -> &Loaded {
    match side {
        Side::C => &pair.c,
        Side::Ours => &pair.ours,
    }
}

fn log<'a>(pair: &Pair, side: Side, device: &'a Device) -> Log<'a> {
    Log::new(pair.checker, plugin(pair, side), side, pair.abi, device)
}

fn hung() -> Answer {
    Answer::from(Reply::GOOD).at(Pace::Hung)
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: {expected:?} expected, {found:?} found"))
    }
}

/// The lines of a call have to be those of the protocol, and no others but rdac's about its
/// preparation.
fn expect_lines(log: &mut Log<'_>, call: Call, outcome: Outcome) -> Result<(), String> {
    let mut own = log.after(call, outcome);
    own.retain(|(_, line)| line != TAS_LINE);
    expect("lines", own, Vec::new())?;
    expect("lines", std::mem::take(&mut log.remarks.wrong), Vec::new())
}

/// A check of a host that waits, while a run that it did not wait for is in flight.
fn synchronous_beside(pair: &Pair, side: Side, device: &Device) -> Found {
    let mut rows = BTreeSet::new();
    let mut log = log(pair, side, device);
    let mut instance = Instance::new(plugin(pair, side), pair.abi, device.fd, 30);
    let (running, _) = ids(pair.checker, pair.abi, side);
    let running = (PENDING, running);
    let verdict = healthy(pair.checker);
    let say = |instance: &Instance<'_>, state| -> (c_int, c_short) { (state, instance.message()) };

    host::set_sync(false);
    expect("init", instance.init(), 0)?;
    // The preparation of a path has ended before.
    instance.verdict(|call, outcome| drop(log.after(call, outcome)));
    // Upstream starts its next thread beside one that has its verdict, but has not ended, and says so.
    sleep(Duration::from_millis(100));
    device.take_sent();
    device.answer(&[hung()]);
    instance.set_message(0);
    let state = instance.check();
    expect("the run", say(&instance, state), running)?;
    expect_lines(&mut log, Call::Check, Outcome::Running)?;
    // The command has been sent before the next one.
    let begin = Instant::now();
    while device.count() == 0 && begin.elapsed() < Duration::from_secs(5) {
        sleep(Duration::from_millis(1));
    }

    host::set_sync(true);
    instance.set_message(0);
    let state = instance.check();
    if (side, pair.abi) == (Side::C, Abi::V0_15) {
        rows.insert("A14");
        expect("the check", say(&instance, state), running)?;
        expect_lines(&mut log, Call::Check, Outcome::Running)?;
        expect("commands", device.count(), 1)?;
    } else {
        expect("the check", say(&instance, state), verdict)?;
        expect("lines", log.take(), Vec::new())?;
        expect("commands", device.count(), 1 + commands(pair.checker))?;
    }

    // The run is collected by the next host that does not wait.
    host::set_sync(false);
    device.release();
    sleep(Duration::from_millis(200));
    instance.set_message(0);
    let state = instance.check();
    expect("the run's end", say(&instance, state), verdict)?;
    expect_lines(&mut log, Call::Check, Outcome::Verdict(state))?;
    instance.free();
    log.end();
    expect("lines", std::mem::take(&mut log.remarks.wrong), Vec::new())?;
    rows.append(&mut log.remarks.rows);
    Ok(rows)
}

/// R7: upstream's `libcheck_init` waits for the device, and sets the bit as soon as it can. Ours gives
/// the preparation up together with the first check.
fn hung_preparation(pair: &Pair, side: Side, device: &Device) -> Found {
    host::set_sync(false);
    let page = Answer::from(Reply {
        data: vec![0; 20],
        ..Reply::GOOD
    });
    device.answer_setup(&[page.at(Pace::Hung)]);
    if side == Side::C {
        return std::thread::scope(|scope| {
            let init = scope.spawn(|| {
                let mut instance = Instance::new(&pair.c, pair.abi, device.fd, 1);
                let result = instance.init();
                instance.free();
                result
            });
            sleep(LONGEST_CALL);
            let waits = !init.is_finished();
            device.release();
            let result = init.join().map_err(|_| "libcheck_init panicked")?;
            let found = (waits, result, device.count_all());
            expect(
                "libcheck_init waits, its result, commands",
                found,
                (true, 0, 2),
            )?;
            Ok(BTreeSet::new())
        });
    }
    let mut log = log(pair, side, device);
    let mut instance = Instance::new(&pair.ours, pair.abi, device.fd, 1);
    let begin = Instant::now();
    expect("init", instance.init(), 0)?;
    expect("init waits", begin.elapsed() > LONGEST_CALL, false)?;
    let mut states = Vec::new();
    while states.last() != Some(&(7, 110)) && begin.elapsed() < Duration::from_secs(5) {
        instance.set_message(0);
        let state = instance.check();
        states.push((state, instance.message()));
        sleep(Duration::from_millis(100));
    }
    expect("the last", states.last(), Some(&(7, 110)))?;
    instance.set_message(0);
    expect(
        "beside",
        instance.verdict(|_, _| {}),
        healthy(pair.checker).0,
    )?;
    device.release();
    sleep(Duration::from_millis(200));
    instance.set_message(0);
    expect(
        "afterwards",
        instance.verdict(|_, _| {}),
        healthy(pair.checker).0,
    )?;
    // Neither the preparation nor the check behind it went on, and nothing was said of it.
    expect("commands", (device.count_all(), device.count()), (3, 2))?;
    let lines = log.take();
    expect(
        "lines",
        lines.iter().any(|(_, line)| line == TAS_LINE),
        false,
    )?;
    instance.free();
    Ok(BTreeSet::from(["R7"]))
}

/// A16: a check without an instance. Upstream's checkers that need none check nevertheless, and
/// emc_clariion crashes.
fn uninitialised(pair: &Pair, device: &Device) -> Found {
    host::set_sync(true);
    host::begin(device.fd);
    let check = |side| {
        let mut instance = Instance::new(plugin(pair, side), pair.abi, device.fd, 30);
        (instance.check(), instance.message())
    };
    expect("ours", check(Side::Ours), (UNCHECKED, 0))?;
    let rows = BTreeSet::from(["A16"]);
    match pair.checker {
        Checker::Tur => {
            expect("upstream", check(Side::C), (UNCHECKED, 0)).map(|()| BTreeSet::new())
        }
        Checker::EmcClariion => {
            let page = [(1, 0xc0_u8), (4, 2), (27, 3), (28, 4), (30, 4)];
            let mut data = vec![0; 128];
            for (at, value) in page {
                data[at] = value;
            }
            let answer = Answer::from(Reply {
                data,
                ..Reply::GOOD
            });
            device.answer(&[answer]);
            expect(
                "upstream dies",
                dies(|| {
                    check(Side::C);
                }),
                true,
            )
            .map(|()| rows)
        }
        _ => expect("upstream", check(Side::C), healthy(pair.checker)).map(|()| rows),
    }
}

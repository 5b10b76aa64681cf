// SPDX-License-Identifier: LGPL-2.0-or-later

//! Cases that are run one after the other: they change what holds for the whole process, or are about
//! the calls around the checks.

#![forbid(unsafe_code)]

use crate::scsi::crash::dies;
use crate::scsi::implementation::{Implementation, Told, commands, healthy};
use crate::scsi::instance::Instance;
use crate::scsi::log_sink;
use crate::scsi::pair::Pair;
use crate::scsi::path_log::{PathLog, TAS_LINE};
use crate::scsi::protocol_lines::{Call, Outcome};
use crate::scsi::results::{Agreed, Results, expect};
use crate::scsi::scenario_driver::LONGEST_CALL;
use cases::{Checker, Pace, active_path, good};
use harness::abi::Abi;
use harness::host;
use harness::scsi::script::Scripted;
use harness::side::Side;
use harness::state::State;
use std::thread::sleep;
use std::time::{Duration, Instant};

type Case<'a> = &'a dyn Fn(&Scripted) -> Result<Agreed, String>;

/// Runs all of them.
pub(crate) fn run_all(pair: &Pair) -> Results {
    let mut results = Results::default();
    let mut run = |what: &str, case: Case<'_>| {
        let device = Scripted::new().map_err(|trouble| trouble.to_string());
        let result = device.and_then(|device| case(&device));
        results.enter(&format!("{}: {what}", pair.checker.name()), result);
        host::set_sync(true);
    };
    for side in [Side::Upstream, Side::Ours] {
        let implementation = pair.side(side);
        if implementation.is_asynchronous() {
            let what = format!("the host waits beside a run in flight, {side}");
            run(&what, &|device| synchronous_beside(implementation, device));
        }
    }
    if pair.checker == Checker::Rdac && pair.abi < Abi::V0_15 {
        run("the preparation hangs, upstream", &|device| {
            upstream_waits_for_preparation(&pair.upstream, device)
        });
        run("the preparation hangs, ours", &|device| {
            preparation_is_given_up(&pair.ours, device)
        });
    }
    if pair.abi < Abi::V0_15 {
        run("no libcheck_init", &|device| uninitialised(pair, device));
    }
    results
}

fn agreed(row: Option<&'static str>) -> Agreed {
    Agreed {
        rows: row.into_iter().collect(),
        ..Agreed::default()
    }
}

/// A check, by a host that has cleared the message.
fn check(instance: &mut Instance<'_>) -> Told {
    instance.set_message(0);
    (instance.check(), instance.message())
}

/// A check of a host that waits, while a run that it did not wait for is in flight.
fn synchronous_beside(
    implementation: &Implementation,
    device: &Scripted,
) -> Result<Agreed, String> {
    let mut log = PathLog::new(implementation, device);
    let mut instance = Instance::new(implementation, device.fd(), 30);
    let running = implementation.running();
    let verdict = healthy(implementation.checker);

    host::set_sync(false);
    expect("init", instance.init(), 0)?;
    // The preparation of a path has ended before.
    instance.verdict(|call, outcome| drop(log.after(call, outcome)));
    // Upstream starts its next thread beside one that has its verdict but has not ended, and logs that.
    sleep(Duration::from_millis(100));
    device.take_sent();
    device.answer(&[good().at(Pace::Hung)]);
    expect("the run", check(&mut instance), running)?;
    log.expect(Call::Check, Outcome::Running)?;
    // The command has been sent before the next one.
    let begin = Instant::now();
    while device.count() == 0 && begin.elapsed() < Duration::from_secs(5) {
        sleep(Duration::from_millis(1));
    }

    host::set_sync(true);
    let mut row = None;
    let found = check(&mut instance);
    if implementation.is_upstream_0_15() {
        row = Some("A14");
        expect("the check", found, running)?;
        log.expect(Call::Check, Outcome::Running)?;
        expect("commands", device.count(), 1)?;
    } else {
        expect("the check", found, verdict)?;
        expect("lines", log.take(), Vec::new())?;
        let both = 1 + commands(implementation.checker);
        expect("commands", device.count(), both)?;
    }

    // The run is collected by the next host that does not wait.
    host::set_sync(false);
    device.release();
    sleep(Duration::from_millis(200));
    expect("the run's end", check(&mut instance), verdict)?;
    log.expect(Call::Check, Outcome::Verdict(verdict.0))?;
    instance.free();
    log.end();
    expect("the log", log.wrong, Vec::new())?;
    let mut agreed = agreed(row);
    agreed.rows.extend(log.rows);
    Ok(agreed)
}

/// A device whose first MODE SENSE hangs.
fn hang_preparation(device: &Scripted) {
    host::set_sync(false);
    device.answer_setup(&[good().data([0; 20]).at(Pace::Hung)]);
}

/// R7: upstream's `libcheck_init` waits for the device, and sets the bit as soon as it can.
fn upstream_waits_for_preparation(
    implementation: &Implementation,
    device: &Scripted,
) -> Result<Agreed, String> {
    hang_preparation(device);
    std::thread::scope(|scope| {
        let init = scope.spawn(|| {
            let mut instance = Instance::new(implementation, device.fd(), 1);
            let result = instance.init();
            instance.free();
            result
        });
        sleep(LONGEST_CALL);
        expect("libcheck_init waits", !init.is_finished(), true)?;
        device.release();
        let result = init.join().map_err(|_| "libcheck_init panicked")?;
        expect("its result", result, 0)?;
        expect("commands", device.count_all(), 2)?;
        Ok(Agreed::default())
    })
}

/// R7: this project's gives the preparation up together with the first check.
fn preparation_is_given_up(
    implementation: &Implementation,
    device: &Scripted,
) -> Result<Agreed, String> {
    hang_preparation(device);
    let mut log = PathLog::new(implementation, device);
    let mut instance = Instance::new(implementation, device.fd(), 1);
    let begin = Instant::now();
    expect("init", instance.init(), 0)?;
    expect("init waits", begin.elapsed() > LONGEST_CALL, false)?;
    let timed_out = implementation.timed_out();
    let mut last = check(&mut instance);
    while last != timed_out && begin.elapsed() < Duration::from_secs(5) {
        sleep(Duration::from_millis(100));
        last = check(&mut instance);
    }
    expect("the last", last, timed_out)?;
    let (verdict, _) = healthy(implementation.checker);
    instance.set_message(0);
    expect("beside", instance.verdict(|_, _| {}), verdict)?;
    device.release();
    sleep(Duration::from_millis(200));
    instance.set_message(0);
    expect("afterwards", instance.verdict(|_, _| {}), verdict)?;
    // Neither the preparation nor the check behind it went on, and nothing was logged about it.
    expect("commands", (device.count_all(), device.count()), (3, 2))?;
    let lines = log.take();
    let failed = lines.iter().any(|(_, line)| line == TAS_LINE);
    expect("lines", failed, false)?;
    instance.free();
    Ok(agreed(Some("R7")))
}

/// A16: a check without an instance. Upstream's checkers that need none check nevertheless, and
/// emc_clariion crashes.
fn uninitialised(pair: &Pair, device: &Scripted) -> Result<Agreed, String> {
    const UNCHECKED: Told = (State::UNCHECKED, 0);
    host::set_sync(true);
    log_sink::begin(device.fd());
    let check = |side| {
        let mut instance = Instance::new(pair.side(side), device.fd(), 30);
        (instance.check(), instance.message())
    };
    expect("ours", check(Side::Ours), UNCHECKED)?;
    match pair.checker {
        Checker::Tur => {
            expect("upstream", check(Side::Upstream), UNCHECKED)?;
            return Ok(agreed(None));
        }
        Checker::EmcClariion => {
            device.answer(&[active_path()]);
            let died = dies(|| {
                check(Side::Upstream);
            });
            expect("upstream dies", died, true)?;
        }
        checker => expect("upstream", check(Side::Upstream), healthy(checker))?,
    }
    Ok(agreed(Some("A16")))
}

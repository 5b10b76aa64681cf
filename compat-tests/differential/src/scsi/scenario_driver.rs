// SPDX-License-Identifier: LGPL-2.0-or-later

//! Runs scenarios: all of a checker at the same time, with each plugin that does not make its host wait.

#![forbid(unsafe_code)]

use crate::scsi::implementation::{Implementation, Told, commands, healthy};
use crate::scsi::instance::Instance;
use crate::scsi::loaded::Loaded;
use crate::scsi::pair::Pair;
use crate::scsi::path_log::PathLog;
use crate::scsi::protocol_lines::{Call, Outcome};
use crate::scsi::results::{Agreed, Results, Rows, expect};
use crate::scsi::scenarios::{self, Returns, Scenario, Step, Subject};
use harness::abi::Abi;
use harness::host;
use harness::scsi::script::Scripted;
use harness::side::Side;
use nix::time::{ClockId, clock_gettime};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The longest that a call may take: the millisecond for which `check` waits with hosts of 0.7.9 to
/// 0.10, and what a busy machine may add.
pub(crate) const LONGEST_CALL: Duration = Duration::from_millis(500);

/// How long a daemon of 0.11 or later waits when `libcheck_need_wait` returns true.
const HOST_WAIT: Duration = Duration::from_millis(5);

/// How many further polls the verdict of an instant device may take.
const MORE_POLLS: usize = 3;

/// Runs every scenario of the pair's checker.
pub(crate) fn run_all(pair: &Pair) -> Results {
    if let Loaded::Entries(upstream) = &pair.upstream.plugin {
        if pair.upstream.is_asynchronous() {
            host::use_checker_thread(upstream.thread());
        }
    }
    let all = scenarios::all(pair.checker, pair.abi);
    let mut results = Results::default();
    std::thread::scope(|scope| {
        let mut runs = Vec::new();
        for scenario in &all {
            for side in [Side::Upstream, Side::Ours] {
                let implementation = pair.side(side);
                if implementation.is_asynchronous() {
                    let run = scope.spawn(move || run(implementation, scenario));
                    runs.push((scenario, side, run));
                }
            }
        }
        for (scenario, side, run) in runs {
            let name = format!("{}: {}, {side}", pair.checker.name(), scenario.name);
            let result = run.join();
            results.enter(&name, result.unwrap_or_else(|_| Err("a panic".to_owned())));
        }
    });
    results
}

/// A tenth of a second after the next full second of the monotonic clock, by which time limits count.
fn next_start() -> Result<Instant, String> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_err(|errno| errno.to_string())?;
    let into = Duration::from_nanos(now.tv_nsec().unsigned_abs());
    Ok(Instant::now() + Duration::from_millis(1100) - into)
}

fn run(implementation: &Implementation, scenario: &Scenario) -> Result<Agreed, String> {
    let device = Scripted::new().map_err(|trouble| trouble.to_string())?;
    let mut log = PathLog::new(implementation, &device);
    let mut instance = Instance::new(implementation, device.fd(), scenario.timeout);
    expect("libcheck_init", instance.init(), 0)?;
    // What the preparation of a path logs is compared elsewhere.
    log.take();
    let start = next_start()?;
    sleep(start.saturating_duration_since(Instant::now()));
    let mut driver = Driver {
        implementation,
        instance: Some(instance),
        device: &device,
        log,
        start,
        rows: Rows::new(),
        waited: false,
    };
    driver.steps(&scenario.steps)?;
    driver.step(&Step::Free)?;
    driver.log.end();
    let PathLog {
        wrong, rows, lines, ..
    } = driver.log;
    expect("the log", wrong, Vec::new())?;
    Ok(Agreed {
        rows: rows.into_iter().chain(driver.rows).collect(),
        lines,
        ..Agreed::default()
    })
}

/// A path in the course of a scenario.
struct Driver<'a> {
    implementation: &'a Implementation,
    /// `None` once it has been freed.
    instance: Option<Instance<'a>>,
    device: &'a Scripted,
    log: PathLog<'a>,
    start: Instant,
    /// The rows of the ledger that showed.
    rows: Rows,
    /// The host had to wait in the last poll.
    waited: bool,
}

impl<'a> Driver<'a> {
    fn steps(&mut self, steps: &[Step]) -> Result<(), String> {
        for step in steps {
            self.step(step).map_err(|why| {
                let millis = self.start.elapsed().as_millis();
                format!("after {millis} ms, {step:?}: {why}")
            })?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Answer(answers) => self.device.answer(answers),
            Step::Poll(millis, returns) => {
                let moment = self.start + Duration::from_millis(*millis);
                sleep(moment.saturating_duration_since(Instant::now()));
                self.poll_for(*returns)?;
            }
            Step::WaitsOnce => self.waits_once()?,
            Step::Commands { hung, complete } => {
                let expected = hung + complete * commands(self.implementation.checker);
                expect("commands", self.device.count(), expected)?;
            }
            Step::CommandsAtLeast(count) => {
                let found = self.device.count();
                expect("enough commands", found >= *count, true)?;
            }
            Step::ForgetCommands => drop(self.device.take_sent()),
            Step::Finds(state) => self.log.found(*state),
            Step::Release => {
                self.log.released();
                self.device.release();
                sleep(Duration::from_millis(200));
            }
            Step::Pause(millis) => sleep(Duration::from_millis(*millis)),
            Step::Free => {
                if let Some(instance) = self.instance.take() {
                    let begin = Instant::now();
                    instance.free();
                    within_limit(begin)?;
                    self.log.expect(Call::Free, Outcome::Running)?;
                }
            }
            Step::Differs(subject, row, here, elsewhere) => {
                if self.is(*subject) {
                    self.rows.insert(row);
                    self.steps(here)?;
                } else {
                    self.steps(elsewhere)?;
                }
            }
        }
        Ok(())
    }

    fn is(&self, subject: Subject) -> bool {
        match subject {
            Subject::Upstream => self.implementation.side == Side::Upstream,
            Subject::Upstream0_15 => self.implementation.is_upstream_0_15(),
            Subject::Ours => self.implementation.side == Side::Ours,
        }
    }

    fn instance(&mut self) -> Result<&mut Instance<'a>, String> {
        self.instance.as_mut().ok_or("the path is freed".to_owned())
    }

    fn poll_for(&mut self, returns: Returns) -> Result<(), String> {
        let running = self.implementation.running();
        let mut found = self.poll()?;
        if matches!(returns, Returns::Verdict | Returns::Told(_)) {
            for _ in 0..MORE_POLLS {
                if found == running {
                    sleep(Duration::from_millis(100));
                    found = self.poll()?;
                }
            }
        }
        let expected = match returns {
            Returns::Running => running,
            Returns::TimedOut => self.implementation.timed_out(),
            Returns::Verdict => healthy(self.implementation.checker),
            Returns::Told(told) => told,
        };
        expect("state and message", found, expected)
    }

    /// What a daemon does with a path each second.
    fn poll(&mut self) -> Result<Told, String> {
        let instance = self.instance()?;
        instance.set_message(0);
        let begin = Instant::now();
        let state = instance.check();
        let mut told = (state, instance.message());
        self.expect_lines(Call::Check, told)?;
        self.waited = self.instance()?.need_wait();
        within_limit(begin)?;
        if self.waited {
            sleep(HOST_WAIT);
        }
        let begin = Instant::now();
        let instance = self.instance()?;
        if let Some(state) = instance.pending() {
            told = (state, instance.message());
            self.expect_lines(Call::Pending, told)?;
        }
        within_limit(begin)?;
        Ok(told)
    }

    /// The lines of a call that returned this have to be those of the protocol.
    fn expect_lines(&mut self, call: Call, told: Told) -> Result<(), String> {
        let outcome = if told == self.implementation.running() {
            Outcome::Running
        } else if told == self.implementation.timed_out() {
            Outcome::TimedOut
        } else {
            Outcome::Verdict(told.0)
        };
        self.log.expect(call, outcome)
    }

    /// The host waits for a check that has just begun, if its ABI has that, but not again.
    fn waits_once(&mut self) -> Result<(), String> {
        let first = self.implementation.abi >= Abi::V0_11;
        expect("need_wait before the first poll", self.waited, first)?;
        let again = self.implementation.is_upstream_0_15();
        if again {
            self.rows.insert("A9");
        }
        expect("need_wait after it", self.instance()?.need_wait(), again)
    }
}

/// A call that began then must not have waited for the device.
fn within_limit(begin: Instant) -> Result<(), String> {
    let time = begin.elapsed();
    if time > LONGEST_CALL {
        return Err(format!("a call took {time:?}"));
    }
    Ok(())
}

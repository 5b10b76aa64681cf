// SPDX-License-Identifier: LGPL-2.0-or-later

//! Which lines the asynchronous protocol logs, by call.
//!
//! Upstream has three sets of them: none in the checkers that make their host wait, tur's up to 0.14,
//! and those of 0.15's libmultipath. This project has tur's for all checkers. What each call of either
//! side logs follows from what it returns, so every line has to be expected here. What is left over is
//! the plugin's own and is compared between the sides.

#![forbid(unsafe_code)]

use crate::scsi::log_sink::Line;
use harness::state::State;

/// A call of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// `libcheck_check`, or what stands for it.
    Check,
    /// `libcheck_pending`.
    Pending,
    /// `libcheck_free`.
    Free,
}

/// What it returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The check is still running.
    Running,
    /// It has not ended in time.
    TimedOut,
    /// This state.
    Verdict(State),
}

/// The lines of one path.
#[derive(Debug)]
pub(crate) enum Protocol {
    /// tur's.
    Tur(TurLines),
    /// Those of 0.15's libmultipath, which has a runner thread for each check of any checker.
    Runner(RunnerLines),
}

impl Protocol {
    /// The lines of a call that returned this.
    pub(crate) fn expect(&mut self, call: Call, outcome: Outcome) -> Vec<Line> {
        match self {
            Protocol::Tur(lines) => lines.expect(call, outcome),
            Protocol::Runner(lines) => lines.expect(call, outcome),
        }
    }

    /// What other threads have to have logged by now.
    pub(crate) fn take_elsewhere(&mut self) -> Vec<Line> {
        std::mem::take(match self {
            Protocol::Tur(lines) => &mut lines.elsewhere,
            Protocol::Runner(lines) => &mut lines.elsewhere,
        })
    }

    /// The next check finds this state; the host gets another one, which its release knows.
    pub(crate) fn found(&mut self, state: State) {
        if let Protocol::Tur(lines) = self {
            lines.found = Some(state);
        }
    }

    /// The device has released its hung commands. (A cancelled runner is polled once more even so.)
    pub(crate) fn released(&mut self) {
        if let Protocol::Tur(lines) = self {
            lines.hung = Hung::None;
        }
    }
}

/// Whose the lines of tur are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TurSource {
    /// Upstream's tur up to 0.14: the caller's lines, and on the thread that it starts two more.
    Upstream,
    /// This project's checker of this name.
    Ours(&'static str),
}

/// By which call a host gets a verdict that is there at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// `libcheck_check`.
    Check,
    /// `libcheck_pending`, from 0.11 on.
    Pending,
}

/// Which of the runs that passed their time limit still hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hung {
    /// None.
    None,
    /// The last.
    Last,
    /// One before the last.
    Earlier,
    /// The last, and one before it: no third run is started.
    Both {
        /// That has been logged.
        logged: bool,
    },
}

/// The lines of tur.
#[derive(Debug)]
pub(crate) struct TurLines {
    source: TurSource,
    delivery: Delivery,
    /// A run is in flight, as far as the host has been told.
    in_flight: bool,
    hung: Hung,
    /// The state that the next check finds, if the host gets another one.
    found: Option<State>,
    elsewhere: Vec<Line>,
}

impl TurLines {
    /// Before the first check.
    pub(crate) fn new(source: TurSource, delivery: Delivery) -> TurLines {
        TurLines {
            source,
            delivery,
            in_flight: false,
            hung: Hung::None,
            found: None,
            elsewhere: Vec::new(),
        }
    }

    fn name(&self) -> &'static str {
        match self.source {
            TurSource::Upstream => "tur",
            TurSource::Ours(name) => name,
        }
    }

    fn line(&self, level: i32, text: &str) -> Line {
        (level, format!("dev : {} {text}", self.name()))
    }

    /// A line of upstream's thread, which this project logs in the call that gets the result.
    fn on_the_thread(&mut self, lines: &mut Vec<Line>, line: Line) {
        match self.source {
            TurSource::Ours(_) => lines.push(line),
            TurSource::Upstream => self.elsewhere.push(line),
        }
    }

    fn expect(&mut self, call: Call, outcome: Outcome) -> Vec<Line> {
        let mut lines = Vec::new();
        let starts = call == Call::Check && !self.in_flight;
        if starts {
            match self.hung {
                Hung::None => {}
                Hung::Last => {
                    lines.push(self.line(3, "thread not responding"));
                    self.hung = Hung::Earlier;
                }
                // Upstream forgets the hung run as soon as one beside it has ended.
                Hung::Earlier if self.source == TurSource::Upstream => self.hung = Hung::None,
                Hung::Earlier => {}
                Hung::Both { logged } => {
                    self.hung = Hung::Both { logged: true };
                    let name = self.name();
                    let text = format!("dev : waiting for stalled {name} thread to finish");
                    return if logged { lines } else { vec![(2, text)] };
                }
            }
            let starting = self.line(4, "checker starting up");
            self.on_the_thread(&mut lines, starting);
            self.in_flight = true;
            if self.delivery == Delivery::Pending {
                return lines;
            }
        }
        if call == Call::Free || !self.in_flight {
            return lines;
        }
        match outcome {
            Outcome::Running if call == Call::Check && !starts => {
                lines.push(self.line(3, "checker not finished"));
            }
            Outcome::Running => lines.push(self.line(4, "checker still running")),
            Outcome::TimedOut => {
                lines.push(self.line(3, "checker timeout"));
                self.in_flight = false;
                self.hung = match self.hung {
                    Hung::None => Hung::Last,
                    _ => Hung::Both { logged: false },
                };
            }
            Outcome::Verdict(state) => {
                let state = self.found.take().unwrap_or(state);
                let finished = self.line(4, &format!("checker finished, state {state}"));
                self.on_the_thread(&mut lines, finished);
                self.in_flight = false;
            }
        }
        lines
    }
}

/// Where a runner stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Runner {
    /// There is none.
    #[default]
    None,
    /// It runs.
    Running,
    /// It has been cancelled, and is polled once more.
    Cancelled,
}

/// The lines of 0.15's libmultipath.
#[derive(Debug, Default)]
pub(crate) struct RunnerLines {
    runner: Runner,
    /// How many runners in a row did not end in time.
    late: u32,
    elsewhere: Vec<Line>,
}

impl RunnerLines {
    /// A runner is cancelled while its command hangs; its thread will log that once it can end.
    fn cancel(&mut self) -> Line {
        let end = "cleanup_context: runner finished in state 'dead'";
        self.elsewhere.push((3, end.to_owned()));
        cancelled(4, "running")
    }

    fn expect(&mut self, call: Call, outcome: Outcome) -> Vec<Line> {
        let line = |level, text: &str| (level, format!("dev : {text}"));
        match (call, self.runner) {
            (Call::Check, Runner::None) => {
                self.elsewhere.push(line(4, "async checker starting up"));
                self.runner = Runner::Running;
                return vec![line(4, "starting checker")];
            }
            (_, Runner::None) => return Vec::new(),
            (Call::Free, _) => return vec![self.cancel()],
            _ => {}
        }
        match outcome {
            Outcome::Running => vec![line(4, "async checker still running")],
            Outcome::Verdict(state) => {
                let finished = format!("async checker finished, state {state}");
                self.elsewhere.push(line(4, &finished));
                (self.runner, self.late) = (Runner::None, 0);
                let done = line(4, &format!("{finished}, runner state done"));
                vec![cancelled(4, "done"), done]
            }
            Outcome::TimedOut if self.runner == Runner::Cancelled => {
                (self.runner, self.late) = (Runner::None, 0);
                let text = "async checker finished, state timeout, runner state dead";
                vec![cancelled(3, "dead"), line(3, text)]
            }
            Outcome::TimedOut => {
                let mut lines = vec![self.cancel()];
                self.late += 1;
                self.runner = match self.late {
                    1 => Runner::None,
                    _ => Runner::Cancelled,
                };
                match self.late {
                    1 => {
                        lines.push(line(3, "async checker timed out, releasing it"));
                        lines.push(cancelled(3, "dead"));
                    }
                    2 => lines.push(line(3, "async checker timed out, waiting for it")),
                    _ => {}
                }
                lines
            }
        }
    }
}

fn cancelled(level: i32, state: &str) -> Line {
    let text = format!("cancel_runner: runner cancelled in state '{state}'");
    (level, text)
}

/// Takes the expected lines out of those that were logged. Returns the others.
///
/// # Errors
/// When one of them is missing, or not in its place.
pub(crate) fn split(logged: Vec<Line>, expected: &[Line]) -> Result<Vec<Line>, String> {
    let mut missing = expected.iter();
    let mut next = missing.next();
    let mut rest = Vec::new();
    for line in &logged {
        if next == Some(line) {
            next = missing.next();
        } else {
            rest.push(line.clone());
        }
    }
    match next {
        None => Ok(rest),
        Some(_) => Err(format!("{expected:#?} expected, {logged:#?} logged")),
    }
}

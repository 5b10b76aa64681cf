//! Which lines the asynchronous protocol logs, by call.
//!
//! Upstream has three sets of them: none in the checkers that make their host wait, tur's up to
//! 0.14, and those of 0.15's libmultipath. Ours has tur's for all checkers. What each call of either
//! side logs follows from what it returns, so every line has to be expected here; what is left over
//! is the plugin's own and is compared between the sides.

use crate::scsi::host::Line;
use harness::state::State;
use std::ffi::c_int;

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
    Verdict(c_int),
}

/// Whose lines they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Upstream's tur up to 0.14: the caller's lines, and on the thread that it starts two more.
    TurThread,
    /// 0.15's libmultipath, which has a runner thread for each check of any checker.
    Runner,
    /// Ours, for the checker with this name.
    Ours(&'static str),
}

/// The lines of one path.
#[derive(Debug)]
pub(crate) struct Protocol {
    source: Source,
    /// The host has the verdict from `check` itself, if it is there at once.
    in_check: bool,
    /// A run is in flight, as far as the host has been told.
    in_flight: bool,
    /// The last run was given up and hangs. (0.15: it was cancelled, and is still looked at.)
    hung: bool,
    /// How many runs were given up in a row.
    given_up: u32,
    /// Ours: a run given up before the last one hangs.
    older_hangs: bool,
    /// What the next check finds, if the host is told something else.
    found: Option<c_int>,
    /// What other threads are to log.
    elsewhere: Vec<Line>,
}

impl Protocol {
    /// Before the first check.
    pub(crate) fn new(source: Source, in_check: bool) -> Protocol {
        Protocol {
            source,
            in_check,
            in_flight: false,
            hung: false,
            given_up: 0,
            older_hangs: false,
            found: None,
            elsewhere: Vec::new(),
        }
    }

    /// The lines of a call that returned this.
    pub(crate) fn expect(&mut self, call: Call, outcome: Outcome) -> Vec<Line> {
        match self.source {
            Source::Runner => self.of_the_runner(call, outcome),
            Source::TurThread => self.of_tur("tur", call, outcome),
            Source::Ours(name) => self.of_tur(name, call, outcome),
        }
    }

    /// What other threads are to have logged by now.
    pub(crate) fn take_elsewhere(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.elsewhere)
    }

    /// The next check finds this state, of which the host is told something else.
    pub(crate) fn found(&mut self, state: c_int) {
        self.found = Some(state);
    }

    /// The device has let its hung commands go.
    pub(crate) fn released(&mut self) {
        self.older_hangs = false;
        if self.source != Source::Runner {
            self.hung = false;
        }
    }

    fn of_tur(&mut self, name: &str, call: Call, outcome: Outcome) -> Vec<Line> {
        let line = |level, text: &str| (level, format!("dev : {name} {text}"));
        let mut lines = Vec::new();
        let started = call == Call::Check && !self.in_flight;
        if started {
            // Upstream's tur forgets the hung run as soon as one beside it has ended.
            let beside = match self.source {
                Source::Ours(_) => self.older_hangs,
                _ => self.given_up > 0,
            };
            if !self.hung {
                self.given_up = 0;
            } else if !beside {
                lines.push(line(3, "thread not responding"));
                (self.given_up, self.hung, self.older_hangs) = (1, false, true);
            } else {
                self.given_up = self.given_up.max(1);
                if self.given_up == 1 {
                    let text = format!("dev : waiting for stalled {name} thread to finish");
                    lines.push((2, text));
                    self.given_up = 2;
                }
                return lines;
            }
            self.on_the_thread(&mut lines, line(4, "checker starting up"));
            self.in_flight = true;
            if !self.in_check {
                return lines;
            }
        }
        if call == Call::Free || !self.in_flight {
            return lines;
        }
        match outcome {
            Outcome::Running if call == Call::Check && !started => {
                lines.push(line(3, "checker not finished"));
            }
            Outcome::Running => lines.push(line(4, "checker still running")),
            Outcome::TimedOut => {
                lines.push(line(3, "checker timeout"));
                (self.in_flight, self.hung) = (false, true);
            }
            Outcome::Verdict(state) => {
                let state = State(self.found.take().unwrap_or(state));
                let text = format!("checker finished, state {state}");
                self.on_the_thread(&mut lines, line(4, &text));
                self.in_flight = false;
            }
        }
        lines
    }

    /// A line of upstream's thread, which ours logs in the call that learns of it.
    fn on_the_thread(&mut self, lines: &mut Vec<Line>, line: Line) {
        match self.source {
            Source::Ours(_) => lines.push(line),
            Source::TurThread | Source::Runner => self.elsewhere.push(line),
        }
    }

    /// A runner is cancelled while the command hangs; its thread will say so once it can end.
    fn cancel_runner(&mut self) -> Line {
        let end = "cleanup_context: runner finished in state 'dead'";
        self.elsewhere.push((3, end.to_owned()));
        (
            4,
            "cancel_runner: runner cancelled in state 'running'".to_owned(),
        )
    }

    fn of_the_runner(&mut self, call: Call, outcome: Outcome) -> Vec<Line> {
        let line = |level, text: &str| (level, format!("dev : {text}"));
        let cancel = |level, state: &str| {
            let text = format!("cancel_runner: runner cancelled in state '{state}'");
            (level, text)
        };
        let mut lines = Vec::new();
        match (call, self.in_flight) {
            (Call::Check, false) => {
                lines.push(line(4, "starting checker"));
                let starting = line(4, "async checker starting up");
                self.on_the_thread(&mut lines, starting);
                self.in_flight = true;
            }
            (Call::Pending, false) | (Call::Free, false) => {}
            (Call::Free, true) => lines.push(self.cancel_runner()),
            (Call::Check | Call::Pending, true) => match outcome {
                Outcome::Running => lines.push(line(4, "async checker still running")),
                Outcome::Verdict(state) => {
                    let finished = format!("async checker finished, state {}", State(state));
                    lines.push(cancel(4, "done"));
                    lines.push(line(4, &format!("{finished}, runner state done")));
                    self.on_the_thread(&mut lines, line(4, &finished));
                    (self.in_flight, self.given_up) = (false, 0);
                }
                Outcome::TimedOut if self.hung => {
                    // It has been cancelled at the look before.
                    lines.push(cancel(3, "dead"));
                    let text = "async checker finished, state timeout, runner state dead";
                    lines.push(line(3, text));
                    (self.in_flight, self.hung, self.given_up) = (false, false, 0);
                }
                Outcome::TimedOut => {
                    lines.push(self.cancel_runner());
                    self.given_up += 1;
                    if self.given_up == 1 {
                        lines.push(line(3, "async checker timed out, releasing it"));
                        lines.push(cancel(3, "dead"));
                        self.in_flight = false;
                    } else {
                        self.hung = true;
                        if self.given_up == 2 {
                            lines.push(line(3, "async checker timed out, waiting for it"));
                        }
                    }
                }
            },
        }
        lines
    }
}

/// Takes the expected lines out of those that were logged; gives the others.
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

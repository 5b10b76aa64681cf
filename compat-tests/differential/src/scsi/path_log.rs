// SPDX-License-Identifier: LGPL-2.0-or-later

//! The log of one path, compared call by call.

#![forbid(unsafe_code)]

use crate::scsi::implementation::Implementation;
use crate::scsi::log_sink::{self, Line};
use crate::scsi::protocol_lines::{
    self, Call, Delivery, Outcome, Protocol, RunnerLines, TurLines, TurSource,
};
use crate::scsi::results::Rows;
use cases::Checker;
use harness::abi::Abi;
use harness::scsi::script::Scripted;
use harness::side::Side;
use harness::state::State;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What rdac logs when it could not set the TAS bit.
pub(crate) const TAS_LINE: &str = "rdac checker failed to set TAS bit";

/// The log of one path.
pub(crate) struct PathLog<'a> {
    device: &'a Scripted,
    /// The path's number in log lines.
    number: &'a str,
    protocol: Protocol,
    /// The row of the ledger for lines of the protocol, if this side has one.
    row: Option<&'static str>,
    /// What is wrong, whatever the other side does.
    pub(crate) wrong: Vec<String>,
    /// The rows of the ledger that showed.
    pub(crate) rows: Rows,
    /// How many log records were compared.
    pub(crate) lines: u64,
}

impl<'a> PathLog<'a> {
    /// The log of a path on `device`. From now on the calling thread is the host's for this path.
    pub(crate) fn new(implementation: &Implementation, device: &'a Scripted) -> Self {
        let Implementation { checker, abi, .. } = *implementation;
        let delivery = match abi {
            Abi::V0_7_9 => Delivery::Check,
            _ => Delivery::Pending,
        };
        let tur = |source| Protocol::Tur(TurLines::new(source, delivery));
        let (protocol, row) = match (implementation.side, abi) {
            (Side::Upstream, Abi::V0_15) => (Protocol::Runner(RunnerLines::default()), Some("A12")),
            (Side::Upstream, _) => (tur(TurSource::Upstream), None),
            (Side::Ours, _) => {
                let differs = abi < Abi::V0_15 && checker != Checker::Tur;
                (
                    tur(TurSource::Ours(checker.name())),
                    differs.then_some("A11"),
                )
            }
        };
        log_sink::begin(device.fd());
        PathLog {
            device,
            number: &device.name,
            protocol,
            row,
            wrong: Vec::new(),
            rows: Rows::new(),
            lines: 0,
        }
    }

    /// The path's device.
    pub(crate) fn device(&self) -> &'a Scripted {
        self.device
    }

    /// The path turns out to have no device, and so no number.
    pub(crate) fn without_device(&mut self) {
        self.number = "0:0";
    }

    /// The line as it would be for any path: its number is replaced.
    fn anonymous(&self, (level, line): Line) -> Line {
        match line.strip_prefix(self.number) {
            Some(rest) if rest.starts_with(" : ") => (level, format!("dev{rest}")),
            _ => (level, line),
        }
    }

    /// What the host's thread has logged since the last time.
    pub(crate) fn take(&mut self) -> Vec<Line> {
        let lines = log_sink::take_lines();
        self.lines += lines.len() as u64;
        lines
            .into_iter()
            .map(|line| self.anonymous(line))
            .filter(|(_, line)| !log_sink::is_about_a_path(line))
            .collect()
    }

    /// What other threads have logged since the last time.
    pub(crate) fn take_elsewhere(&mut self) -> Vec<Line> {
        let lines = log_sink::take_elsewhere(self.device.fd());
        self.lines += lines.len() as u64;
        let anonymous = |line| self.anonymous(line);
        lines.into_iter().map(anonymous).collect()
    }

    /// The plugin's own lines of a call that returned this.
    pub(crate) fn after(&mut self, call: Call, outcome: Outcome) -> Vec<Line> {
        let expected = self.protocol.expect(call, outcome);
        let logged = self.take();
        self.split(&format!("{call:?}, {outcome:?}"), logged, &expected)
    }

    /// Compares the lines of a call, which has no line of its own but rdac's about the preparation.
    ///
    /// # Errors
    /// What differs.
    pub(crate) fn expect(&mut self, call: Call, outcome: Outcome) -> Result<(), String> {
        let mut own = self.after(call, outcome);
        own.retain(|(_, line)| line != TAS_LINE);
        if !own.is_empty() {
            return Err(format!("{call:?}, {outcome:?}: {own:?} logged"));
        }
        match self.wrong.pop() {
            None => Ok(()),
            Some(wrong) => Err(wrong),
        }
    }

    /// The plugin's own lines on the thread of a check whose verdict is there.
    pub(crate) fn after_the_thread(&mut self) -> Vec<Line> {
        let expected = self.expected_elsewhere();
        let logged = self.take_elsewhere();
        self.split("on other threads", logged, &expected)
    }

    /// The device has released its hung commands.
    pub(crate) fn released(&mut self) {
        self.protocol.released();
    }

    /// The next check finds a state that the host does not get.
    pub(crate) fn found(&mut self, state: State) {
        self.protocol.found(state);
    }

    /// Compares what other threads log about a path that is no longer used with what they should,
    /// whatever the order.
    pub(crate) fn end(&mut self) {
        const LIMIT: Duration = Duration::from_secs(2);
        let mut expected = self.expected_elsewhere();
        expected.sort();
        let begin = Instant::now();
        let mut logged = Vec::new();
        loop {
            logged.extend(self.take_elsewhere());
            logged.sort();
            if logged == expected {
                return;
            }
            if begin.elapsed() > LIMIT {
                break;
            }
            sleep(Duration::from_millis(10));
        }
        let why = format!("other threads: {expected:#?} expected, {logged:#?} logged");
        self.wrong.push(why);
    }

    fn expected_elsewhere(&mut self) -> Vec<Line> {
        let expected = self.protocol.take_elsewhere();
        if !expected.is_empty() {
            self.rows.insert("A13");
        }
        expected
    }

    fn split(&mut self, what: &str, logged: Vec<Line>, expected: &[Line]) -> Vec<Line> {
        if !expected.is_empty() {
            self.rows.extend(self.row);
        }
        protocol_lines::split(logged, expected).unwrap_or_else(|why| {
            self.wrong.push(format!("{what}: {why}"));
            Vec::new()
        })
    }
}

//! One path's life with one plugin: prepared, checked a few times, freed.

use crate::scsi::Checker;
use crate::scsi::device::{Answer, Device, Sent};
use crate::scsi::host::{self, Line};
use crate::scsi::instance::Instance;
use crate::scsi::lines::{self, Call, Outcome, Protocol, Source};
use crate::scsi::loaded::Loaded;
use crate::scsi::stderr::Stderr;
use harness::abi::Abi;
use std::collections::BTreeSet;
use std::ffi::{c_int, c_long, c_short};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Whose plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Upstream's.
    C,
    /// Ours.
    Ours,
}

/// What both plugins live through.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// How the host comes by the verdicts.
    pub(crate) mode: Mode,
    /// The time limit in seconds.
    pub(crate) timeout: u32,
    /// The device node's preferred transfer size.
    pub(crate) preferred: i64,
    /// The map that the path belongs to.
    pub(crate) map: Map,
    /// A descriptor in the place of the device's.
    pub(crate) fd: Option<c_int>,
    /// Answers to the commands of `libcheck_init`.
    pub(crate) setup: Vec<Answer>,
    /// The checks.
    pub(crate) checks: Vec<Check>,
}

/// How a host comes by a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It waits in the call, as `multipath` does.
    Sync,
    /// It comes back until the verdict is there, as `multipathd` does.
    Async,
}

/// The map of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Map {
    /// It has none.
    None,
    /// One in which the plugin may keep a value.
    Shared,
    /// One without a value, as no real host leaves it.
    Empty,
}

/// One check.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    /// The answers, in order. After the last one every command succeeds.
    pub(crate) answers: Vec<Answer>,
    /// `msgid` before a check in [`Mode::Sync`]: 0 with a real host, anything with others.
    pub(crate) message: c_short,
    /// What another path made of the map's value.
    pub(crate) map_value: Option<c_int>,
}

impl From<Vec<Answer>> for Check {
    fn from(answers: Vec<Answer>) -> Self {
        Check {
            answers,
            message: 0,
            map_value: None,
        }
    }
}

/// What could be seen of a life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// What `libcheck_init` returned.
    pub(crate) init: c_int,
    /// Abi D: the preparation failed for want of a descriptor. The other fields tell what it does
    /// with one.
    pub(crate) unprepared: bool,
    /// The commands of the preparation.
    pub(crate) setup: Vec<Sent>,
    /// The checks.
    pub(crate) checks: Vec<Checked>,
    /// What the preparation and `libcheck_free` logged, with levels.
    pub(crate) lines: Vec<Line>,
    /// What went to standard error, if that was watched.
    pub(crate) printed: String,
    /// Whether `context` was NULL after `libcheck_free`.
    pub(crate) context_cleared: bool,
}

/// What does not belong to the comparison of two records.
#[derive(Debug, Default)]
pub(crate) struct Remarks {
    /// What is wrong with one side, whatever the other does.
    pub(crate) wrong: Vec<String>,
    /// The rows of the ledger that this side's log showed.
    pub(crate) rows: BTreeSet<&'static str>,
    /// How many lines were looked at.
    pub(crate) lines: u64,
}

/// What could be seen of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// The returned state.
    pub(crate) state: c_int,
    /// `msgid` afterwards.
    pub(crate) message: c_short,
    /// Its text.
    pub(crate) text: String,
    /// The map's value afterwards.
    pub(crate) map_value: Option<c_long>,
    /// The commands.
    pub(crate) sent: Vec<Sent>,
    /// What the plugin logged, with levels, without the lines of the asynchronous protocol.
    pub(crate) lines: Vec<Line>,
    /// Abi D: the message of C's function and its text, which the host may keep to itself.
    pub(crate) hidden: Option<(c_short, String)>,
}

impl Checked {
    /// State and message id.
    pub(crate) fn verdict(&self) -> (c_int, c_short) {
        (self.state, self.message)
    }
}

/// A preparation that failed, in rdac's words.
pub(crate) const TAS_LINE: &str = "rdac checker failed to set TAS bit";

/// The log of one path, looked at call by call.
pub(crate) struct Log<'a> {
    device: &'a Device,
    /// The path's number in log lines.
    name: &'a str,
    protocol: Protocol,
    /// The row of the ledger for lines of the protocol, if this side has one.
    row: Option<&'static str>,
    /// What came out so far.
    pub(crate) remarks: Remarks,
}

impl<'a> Log<'a> {
    /// The log of a path on `device`.
    pub(crate) fn new(
        checker: Checker,
        plugin: &Loaded,
        side: Side,
        abi: Abi,
        device: &'a Device,
    ) -> Self {
        let source = match (side, plugin) {
            (Side::Ours, _) => Source::Ours(checker.name()),
            (Side::C, Loaded::Function(..)) => Source::Runner,
            (Side::C, Loaded::Entries(_)) => Source::TurThread,
        };
        let row = match source {
            Source::Ours(_) if abi < Abi::V0_15 && checker != Checker::Tur => Some("A11"),
            Source::Runner => Some("A12"),
            _ => None,
        };
        host::begin(device.fd);
        Log {
            device,
            name: &device.name,
            protocol: Protocol::new(source, abi == Abi::V0_7_9),
            row,
            remarks: Remarks::default(),
        }
    }

    /// The path turns out to have no device, and so no number.
    fn without_device(&mut self) {
        self.name = "0:0";
    }

    /// The line as it would be for any path: its number is replaced.
    fn anonymous(&self, (level, line): Line) -> Line {
        match line.strip_prefix(self.name) {
            Some(rest) if rest.starts_with(" : ") => (level, format!("dev{rest}")),
            _ => (level, line),
        }
    }

    /// What has been logged since the last time by the host's thread.
    pub(crate) fn take(&mut self) -> Vec<Line> {
        let lines = host::take_lines();
        self.remarks.lines += lines.len() as u64;
        lines
            .into_iter()
            .map(|line| self.anonymous(line))
            .filter(|(_, line)| !host::is_about_a_path(line))
            .collect()
    }

    /// What has been logged since the last time by other threads.
    pub(crate) fn take_elsewhere(&mut self) -> Vec<Line> {
        let lines = host::take_elsewhere(self.device.fd);
        self.remarks.lines += lines.len() as u64;
        let anonymous = |line| self.anonymous(line);
        lines.into_iter().map(anonymous).collect()
    }

    /// The plugin's own lines of a call that returned this.
    pub(crate) fn after(&mut self, call: Call, outcome: Outcome) -> Vec<Line> {
        let expected = self.protocol.expect(call, outcome);
        let logged = self.take();
        self.split(&format!("{call:?}, {outcome:?}"), logged, &expected)
    }

    /// The plugin's own lines on the thread of a check whose verdict is there.
    pub(crate) fn after_the_thread(&mut self) -> Vec<Line> {
        let expected = self.protocol.take_elsewhere();
        if !expected.is_empty() {
            self.remarks.rows.insert("A13");
        }
        let logged = self.take_elsewhere();
        self.split("on other threads", logged, &expected)
    }

    /// Notes that the device lets its hung commands go.
    pub(crate) fn released(&mut self) {
        self.protocol.released();
    }

    /// Notes that the next check finds a state that the host is not told.
    pub(crate) fn found(&mut self, state: c_int) {
        self.protocol.found(state);
    }

    /// Compares what other threads log about a path that is no longer used with what they should,
    /// whatever the order.
    pub(crate) fn end(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        let mut expected = self.protocol.take_elsewhere();
        if !expected.is_empty() {
            self.remarks.rows.insert("A13");
        }
        expected.sort();
        let begin = Instant::now();
        let mut logged = Vec::new();
        loop {
            logged.extend(self.take_elsewhere());
            logged.sort();
            if logged == expected {
                return;
            }
            if begin.elapsed() > PATIENCE {
                break;
            }
            sleep(Duration::from_millis(10));
        }
        let why = format!("other threads: {expected:#?} expected, {logged:#?} logged");
        self.remarks.wrong.push(why);
    }

    fn split(&mut self, what: &str, logged: Vec<Line>, expected: &[Line]) -> Vec<Line> {
        if !expected.is_empty() {
            self.remarks.rows.extend(self.row);
        }
        lines::split(logged, expected).unwrap_or_else(|why| {
            self.remarks.wrong.push(format!("{what}: {why}"));
            Vec::new()
        })
    }
}

/// Lives `case` with `plugin` on `device`.
///
/// # Panics
/// When standard error cannot be read back.
pub(crate) fn play(
    checker: Checker,
    plugin: &Loaded,
    side: Side,
    abi: Abi,
    device: &Device,
    case: &Case,
    stderr: Option<&mut Stderr>,
) -> (Record, Remarks) {
    let fd = case.fd.unwrap_or(device.fd);
    host::set_sync(case.mode == Mode::Sync);
    device.prefer(case.preferred);
    device.answer_setup(&case.setup);
    device.answer(&[]);
    device.take_sent();

    let mut log = Log::new(checker, plugin, side, abi, device);
    if case.fd.is_some() {
        log.without_device();
    }
    let mut instance = Instance::new(plugin, abi, fd, case.timeout);
    let init = instance.init();
    let mut unprepared = false;
    if matches!(plugin, Loaded::Function(..)) {
        unprepared = log.take() == [(3, TAS_LINE.to_owned())] && device.count_all() == 0;
        instance.prepare_as_meant();
    }
    let mut lines = log.take();
    match case.map {
        Map::None => {}
        Map::Shared => instance.join_map(true),
        Map::Empty => instance.join_map(false),
    }
    let mut setup = Vec::new();
    let mut checks = Vec::new();
    for check in &case.checks {
        device.answer(&check.answers);
        if let Some(value) = check.map_value {
            instance.set_map_value(value);
        }
        let mut logged = Vec::new();
        let state = match case.mode {
            Mode::Sync => {
                instance.set_message(check.message);
                let state = instance.check();
                logged.extend(log.take());
                state
            }
            // A plugin that makes its host wait has no lines but its own.
            Mode::Async if side == Side::C && abi < Abi::V0_15 => {
                instance.set_message(0);
                let state = instance.check();
                logged.extend(log.take());
                state
            }
            Mode::Async => {
                instance.set_message(0);
                let state =
                    instance.verdict(|call, outcome| logged.extend(log.after(call, outcome)));
                logged.extend(log.after_the_thread());
                state
            }
        };
        // Our preparation is another thread's work and may end as late as the first check begins,
        // which then has its line.
        let (late, logged) = logged.into_iter().partition(|(_, line)| line == TAS_LINE);
        lines.extend::<Vec<_>>(late);
        let (prepared, sent) = device
            .take_sent()
            .into_iter()
            .partition(Sent::is_preparation);
        setup.extend::<Vec<_>>(prepared);
        checks.push(Checked {
            state,
            message: instance.message(),
            text: instance.text().to_owned(),
            map_value: instance.map_value(),
            sent,
            lines: logged,
            hidden: instance
                .hidden_message()
                .map(|(id, text)| (id, text.to_owned())),
        });
    }
    let context_cleared = instance.free();
    lines.extend(log.take());
    lines.extend(log.take_elsewhere());
    let record = Record {
        init,
        unprepared,
        setup,
        checks,
        lines,
        printed: stderr.map_or_else(String::new, |stderr| {
            #[expect(clippy::expect_used, reason = "a memfd of our own")]
            stderr.take().expect("what was written to standard error")
        }),
        context_cleared,
    };
    (record, log.remarks)
}

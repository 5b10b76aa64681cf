//! One path's life with one plugin: prepared, checked a few times, freed.

use crate::device::{Answer, Device, Sent};
use crate::host;
use crate::instance::Instance;
use crate::loaded::Loaded;
use crate::stderr::Stderr;
use compat_tests::layout::Era;
use std::ffi::{c_int, c_long, c_short};

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
    /// Era D: the preparation failed for want of a descriptor. The other fields tell what it does
    /// with one.
    pub(crate) unprepared: bool,
    /// The commands of the preparation.
    pub(crate) setup: Vec<Sent>,
    /// The checks.
    pub(crate) checks: Vec<Checked>,
    /// The log, with levels.
    pub(crate) lines: Vec<(c_int, String)>,
    /// What went to standard error, if that was watched.
    pub(crate) printed: String,
    /// Whether `context` was NULL after `libcheck_free`.
    pub(crate) context_cleared: bool,
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
    /// Era D: the message of C's function and its text, which the host may keep to itself.
    pub(crate) hidden: Option<(c_short, String)>,
}

impl Checked {
    /// State and message id.
    pub(crate) fn verdict(&self) -> (c_int, c_short) {
        (self.state, self.message)
    }
}

/// A preparation that failed, in rdac's words.
pub(crate) const TAS_LINE: &str = "rdac checker failed to set TAS bit\n";

/// Lives `case` with `plugin` on `device`.
///
/// # Panics
/// When standard error cannot be read back.
pub(crate) fn play(
    plugin: &Loaded,
    era: Era,
    device: &Device,
    case: &Case,
    stderr: Option<&mut Stderr>,
) -> Record {
    let fd = case.fd.unwrap_or(device.fd);
    host::set_sync(case.mode == Mode::Sync);
    device.prefer(case.preferred);
    device.answer_setup(&case.setup);
    device.answer(&[]);
    device.take_sent();
    host::take_over_lines(fd);
    host::take_lines();

    let mut instance = Instance::new(plugin, era, fd, case.timeout);
    let init = instance.init();
    let mut unprepared = false;
    if matches!(plugin, Loaded::Function(..)) {
        unprepared = host::take_lines() == [(3, TAS_LINE.to_owned())] && device.count_all() == 0;
        instance.prepare_as_meant();
    }
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
        let state = match case.mode {
            Mode::Sync => {
                instance.set_message(check.message);
                instance.check()
            }
            Mode::Async => {
                instance.set_message(0);
                instance.verdict()
            }
        };
        // Our preparation is another thread's work and may end as late as the first check begins.
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
            hidden: instance
                .hidden_message()
                .map(|(id, text)| (id, text.to_owned())),
        });
    }
    let context_cleared = instance.free();
    let mut lines = host::take_lines();
    if case.mode == Mode::Async {
        lines.retain(|(level, line)| host::is_telling(*level, line));
    }
    Record {
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
    }
}

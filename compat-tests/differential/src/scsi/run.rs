// SPDX-License-Identifier: LGPL-2.0-or-later

//! One path with one plugin: prepared, checked a few times, freed.

#![forbid(unsafe_code)]

use crate::scsi::implementation::{Implementation, Mode};
use crate::scsi::instance::Instance;
use crate::scsi::loaded::Loaded;
use crate::scsi::log_sink::Line;
use crate::scsi::path_log::{PathLog, TAS_LINE};
use crate::scsi::stderr::Stderr;
use cases::{Check, Input, Map};
use harness::host;
use harness::scsi::request::Sent;
use harness::scsi::script::Scripted;
use harness::side::Side;
use harness::state::State;
use std::ffi::{c_int, c_long, c_short};

/// What could be seen of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// What `libcheck_init` returned.
    pub(crate) init: c_int,
    /// 0.15: the preparation failed for want of a descriptor. The other fields tell what it does with
    /// one.
    pub(crate) unprepared: bool,
    /// The commands of the preparation.
    pub(crate) setup: Vec<Sent>,
    /// The checks.
    pub(crate) checks: Vec<Checked>,
    /// What the preparation and `libcheck_free` logged, with levels.
    pub(crate) lines: Vec<Line>,
    /// What went to standard error, if that was kept.
    pub(crate) printed: String,
    /// Whether `context` was NULL after `libcheck_free`.
    pub(crate) context_cleared: bool,
}

/// What could be seen of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// The returned state.
    pub(crate) state: State,
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
    /// 0.15: the message of upstream's function and its text, which the host may keep to itself.
    pub(crate) hidden: Option<(c_short, String)>,
}

/// Runs `input` with a plugin on `device`.
///
/// # Panics
/// When standard error cannot be read back.
pub(crate) fn run<'a>(
    implementation: &Implementation,
    device: &'a Scripted,
    mode: Mode,
    input: &Input,
    stderr: Option<&mut Stderr>,
) -> (Record, PathLog<'a>) {
    host::set_sync(mode == Mode::Sync);
    device.prefer(input.preferred);
    device.answer_setup(&input.setup);
    device.answer(&[]);
    device.take_sent();

    let mut log = PathLog::new(implementation, device);
    if input.fd.is_some() {
        log.without_device();
    }
    let fd = input.fd.unwrap_or(device.fd());
    let mut instance = Instance::new(implementation, fd, input.timeout);
    let init = instance.init();
    let mut unprepared = false;
    if matches!(implementation.plugin, Loaded::Function(..)) {
        unprepared = log.take() == [(3, TAS_LINE.to_owned())] && device.count_all() == 0;
        instance.prepare_as_meant();
    }
    let mut lines = log.take();
    match input.map {
        Map::None => {}
        Map::Shared => instance.join_map(true),
        Map::Empty => instance.join_map(false),
    }
    let mut setup = Vec::new();
    let mut checks = Vec::new();
    for input in &input.checks {
        let (state, logged) = check(implementation, &mut instance, &mut log, mode, input);
        // This project's preparation is another thread's work and may end as late as the first check
        // begins, which then has its line.
        let (late, logged) = logged.into_iter().partition(|(_, line)| line == TAS_LINE);
        lines.extend::<Vec<_>>(late);
        let sent = device.take_sent().into_iter();
        let (prepared, sent) = sent.partition(Sent::is_preparation);
        setup.extend::<Vec<_>>(prepared);
        let with_text = |id| (id, instance.text_of(id).to_owned());
        let (message, text) = with_text(instance.message());
        checks.push(Checked {
            state,
            message,
            text,
            map_value: instance.map_value(),
            sent,
            lines: logged,
            hidden: instance.hidden_message().map(with_text),
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
            #[expect(clippy::expect_used, reason = "a memfd of this process")]
            stderr.take().expect("what was written to standard error")
        }),
        context_cleared,
    };
    (record, log)
}

/// One check. Returns its state and the plugin's own lines.
fn check(
    implementation: &Implementation,
    instance: &mut Instance<'_>,
    log: &mut PathLog<'_>,
    mode: Mode,
    input: &Check,
) -> (State, Vec<Line>) {
    log.device().answer(&input.answers);
    if let Some(value) = input.map_value {
        instance.set_map_value(value);
    }
    instance.set_message(match mode {
        Mode::Sync => input.message,
        Mode::Async => 0,
    });
    // A plugin that makes its host wait has no lines but its own.
    let waits = implementation.side == Side::Upstream && !implementation.is_upstream_0_15();
    if mode == Mode::Sync || waits {
        let state = instance.check();
        return (state, log.take());
    }
    let mut logged = Vec::new();
    let state = instance.verdict(|call, outcome| logged.extend(log.after(call, outcome)));
    logged.extend(log.after_the_thread());
    (state, logged)
}

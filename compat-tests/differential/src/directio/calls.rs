// SPDX-License-Identifier: LGPL-2.0-or-later

//! Calls into the plugin, as hosts make them.

use super::devices::flags_of;
use super::driver::{Driver, count_files, millis};
use super::handles::Id;
use super::observation::{Call, Log, Observation, Returned, Step, Took};
use super::seen::Seen;
use harness::abi::Abi;
use harness::aio_faults::Syscall;
use harness::checker_struct::Checker;
use harness::plugin::Plugin;
use harness::state::State;
use harness::{Result, Trouble, aio_rings, host, threads};
use std::ffi::{c_int, c_void};
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// What one call into the plugin gave.
pub(super) struct Called<R> {
    value: R,
    took: Duration,
    hung: bool,
    wrong: Vec<String>,
}

/// Log records with their levels.
type Records = Vec<(c_int, String)>;

/// `PTHREAD_CANCEL_ENABLE`: what every thread begins with.
const CANCEL_ENABLE: c_int = 0;

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
}

/// A log record without what differs from run to run: the number of the device.
pub(super) fn without_device(line: &str, fd: RawFd) -> String {
    // SAFETY: fstat fills the structure, for which any bytes are valid; a bad descriptor is an error.
    let (status, device) = unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        let result = libc::fstat(fd, &raw mut status);
        (result, status.st_rdev)
    };
    let low = device & u64::from(u32::MAX);
    if status == 0 && line == format!("directio: called for {low:x}") {
        "directio: called for <device>".to_owned()
    } else {
        line.to_owned()
    }
}

/// Log records as an observation.
pub(super) fn log_of(records: Records, fd: RawFd) -> Log {
    let records = records.into_iter();
    Log(records
        .map(|(level, line)| (level, without_device(&line, fd)))
        .collect())
}

impl Driver {
    /// Sets the class-wide flag behind `checker_is_sync`.
    pub(crate) fn sync(&mut self, sync: bool) {
        self.is_sync = sync;
        host::set_sync(sync);
    }

    fn mode(&self) -> &'static str {
        if self.is_sync { "sync" } else { "async" }
    }

    /// A `struct checker` with the fields a host sets before `libcheck_init`.
    pub(crate) fn instance(&mut self, fd: RawFd, timeout: u32) -> Result<Id> {
        let checker = Checker::new(self.start.abi, host::class(), fd, timeout)?;
        self.checkers.push(checker);
        Ok(Id(self.checkers.len() - 1))
    }

    /// An instance on which `libcheck_init` has been called, successfully or not.
    pub(crate) fn init(&mut self, fd: RawFd, timeout: u32) -> Result<(Id, Seen<'_>)> {
        let id = self.instance(fd, timeout)?;
        let label = format!("init #{}", id.0);
        let called = self.watch(&label, Some(id), |plugin, checker, _| {
            // SAFETY: `watch` passes the instance's struct.
            unsafe { plugin.init(checker) }
        })?;
        let ok = called.value == 0;
        let returned = if ok { Returned::Ok } else { Returned::Failed };
        let step = self.step(&label, Call::Other, Some(id), called, returned, None)?;
        // After a failure the host forgets the struct's contents.
        let checker = self.checker(id)?;
        if ok {
            checker.set_msgid(0);
        } else {
            checker.clear();
        }
        Ok((id, self.record(step, returned)?))
    }

    /// As [`Driver::init`].
    pub(crate) fn started(&mut self, fd: RawFd, timeout: u32) -> Result<Id> {
        Ok(self.init(fd, timeout)?.0)
    }

    /// Makes one call into the plugin, observed from all sides. The call gets the address of the
    /// instance's struct checker (NULL without an instance) and of the map's word; both are what
    /// the functions of [`Plugin`] want.
    fn watch<R>(
        &mut self,
        label: &str,
        id: Option<Id>,
        call: impl FnOnce(&Plugin, *mut c_void, *mut c_void) -> R,
    ) -> Result<Called<R>> {
        let counted = self.counts.is_some();
        let hung = !counted && self.announce(label)?;
        let map: *mut u64 = &raw mut *self.map_word;
        let target = match id {
            Some(id) => self.checker(id)?.as_ptr(),
            None => std::ptr::null_mut(),
        };
        let files = if counted { 0 } else { count_files() };
        self.fire()?;
        let plugin = self.plugin()?;
        // Old releases print errno where they should not; it is the same everywhere.
        // SAFETY: errno is this thread's own.
        unsafe { *libc::__errno_location() = 0 };
        let begin = Instant::now();
        let value = call(plugin, target, map.cast());
        let took = begin.elapsed();
        let mut wrong = Vec::new();
        let mut cancellation = CANCEL_ENABLE;
        // SAFETY: sets this thread's state to what it was, and reads what the plugin left.
        unsafe { pthread_setcancelstate(CANCEL_ENABLE, &raw mut cancellation) };
        if cancellation != CANCEL_ENABLE {
            wrong.push("the call left thread cancellation disabled".to_owned());
        }
        if !counted && count_files() != files {
            wrong.push("the call opened or closed a file".to_owned());
        }
        if *self.map_word != u64::MAX {
            wrong.push("the call changed the map's word".to_owned());
            *self.map_word = u64::MAX;
        }
        if let Some(id) = id {
            wrong.extend(self.checker(id)?.harm());
        }
        wrong.extend(host::take_violations());
        Ok(Called {
            value,
            took,
            hung,
            wrong,
        })
    }

    /// The step that a call was, with all its observations. `records` replaces what was logged.
    fn step<R>(
        &mut self,
        label: &str,
        call: Call,
        id: Option<Id>,
        called: Called<R>,
        returned: Returned,
        records: Option<Records>,
    ) -> Result<Step> {
        let records = records.unwrap_or_else(host::take_lines);
        let mut step = Step {
            label: label.to_owned(),
            call,
            millis: millis(called.took),
            hung: called.hung,
            observed: vec![Observation::Returned(returned)],
            wrong: called.wrong,
            ..Step::default()
        };
        if self.counts.is_some() {
            return Ok(step);
        }
        let mut fd = -1;
        if let Some(id) = id {
            let checker = self.checker(id)?;
            fd = checker.fd();
            let msgid = checker.msgid();
            let context = !checker.context().is_null();
            step.observed.extend([
                Observation::Msgid(msgid),
                Observation::Text(self.plugin()?.message(msgid).to_owned()),
                Observation::Context(context),
                flags_of(fd),
            ]);
        }
        if call != Call::Other {
            // A context may be destroyed by a thread of the plugin's own.
            threads::rest()?;
        }
        step.observed
            .push(Observation::Contexts(aio_rings::inspect()?.contexts));
        if self.has_gates {
            let in_flight = self.in_flight()?;
            step.observed.push(Observation::InFlight(in_flight));
        }
        if let Some(faults) = self.faults.as_ref().filter(|_| self.counts_calls) {
            threads::rest()?;
            step.observed.extend([
                Observation::Setups(faults.count(Syscall::Setup)),
                Observation::Submits(faults.count(Syscall::Submit)),
                Observation::Destroys(faults.count(Syscall::Destroy)),
            ]);
        }
        step.observed
            .push(Observation::Took(Took::from(called.took)));
        step.observed.push(Observation::Log(log_of(records, fd)));
        Ok(step)
    }

    /// Makes the step the last one, or counts it.
    fn record(&mut self, step: Step, returned: Returned) -> Result<Seen<'_>> {
        if let Some(counts) = &mut self.counts {
            let verb = step.label.split(' ').next().unwrap_or_default();
            let key = format!("{verb} → {returned}");
            *counts.results.entry(key).or_default() += 1;
            counts.wrong.extend(step.wrong);
            return Ok(Seen::new(None, returned));
        }
        self.put(step, returned)
    }

    /// `libcheck_check` as `checker_check` calls it.
    pub(crate) fn check(&mut self, id: Id) -> Result<Seen<'_>> {
        let label = format!("check #{} ({})", id.0, self.mode());
        let called = self.raw_check(&label, id)?;
        let state = called.value.into();
        let step = self.step(&label, Call::Other, Some(id), called, state, None)?;
        self.record(step, state)
    }

    fn raw_check(&mut self, label: &str, id: Id) -> Result<Called<State>> {
        self.checker(id)?.set_msgid(0);
        let called = self.watch(label, Some(id), |plugin, checker, map| {
            // SAFETY: `watch` passes the instance's struct and the map's word.
            unsafe { plugin.check(checker, map) }
        })?;
        self.checker(id)?.set_path_state(called.value);
        Ok(called)
    }

    /// `libcheck_pending`, whatever state the host has stored.
    pub(crate) fn pending(&mut self, id: Id) -> Result<Seen<'_>> {
        let label = format!("pending #{}", id.0);
        let called = self.watch(&label, Some(id), |plugin, checker, map| {
            // SAFETY: `watch` passes the instance's struct and the map's word.
            unsafe { plugin.pending(checker, map) }
        })?;
        let none = || Trouble::Broken("no libcheck_pending".to_owned());
        let state = called.value.ok_or_else(none)?;
        self.checker(id)?.set_path_state(state);
        let step = self.step(&label, Call::Other, Some(id), called, state.into(), None)?;
        self.record(step, state.into())
    }

    /// `libcheck_need_wait`.
    pub(crate) fn need_wait(&mut self, id: Id) -> Result<Seen<'_>> {
        let label = format!("need_wait #{}", id.0);
        let called = self.watch(&label, Some(id), |plugin, checker, _| {
            // SAFETY: `watch` passes the instance's struct.
            unsafe { plugin.need_wait(checker) }
        })?;
        let none = || Trouble::Broken("no libcheck_need_wait".to_owned());
        let returned = Returned::Wait(called.value.ok_or_else(none)?);
        let step = self.step(&label, Call::Other, Some(id), called, returned, None)?;
        self.record(step, returned)
    }

    /// `libcheck_free`, without what the host does to the struct afterwards.
    pub(crate) fn free(&mut self, id: Id) -> Result<Seen<'_>> {
        let label = format!("free #{}", id.0);
        let called = self.watch(&label, Some(id), |plugin, checker, _| {
            // SAFETY: `watch` passes the instance's struct.
            unsafe { plugin.free(checker) }
        })?;
        let step = self.step(
            &label,
            Call::Free,
            Some(id),
            called,
            Returned::Nothing,
            None,
        )?;
        self.record(step, Returned::Nothing)
    }

    /// `libcheck_reset`.
    pub(crate) fn reset(&mut self) -> Result<Seen<'_>> {
        let called = self.watch("reset", None, |plugin, _, _| plugin.reset())?;
        let step = self.step("reset", Call::Reset, None, called, Returned::Nothing, None)?;
        self.record(step, Returned::Nothing)
    }

    /// Unloads the plugin as hosts do when its last user is gone (`libcheck_reset`, `dlclose`), and
    /// loads it again.
    pub(crate) fn reload(&mut self) -> Result<Seen<'_>> {
        let label = "unload and load";
        let hung = self.announce(label)?;
        self.plugin()?;
        let plugin = self.plugin.take();
        self.fire()?;
        let begin = Instant::now();
        if let Some(plugin) = plugin {
            plugin.unload();
        }
        let called = Called {
            value: (),
            took: begin.elapsed(),
            hung,
            wrong: host::take_violations(),
        };
        self.load()?;
        let step = self.step(label, Call::Reset, None, called, Returned::Nothing, None)?;
        self.record(step, Returned::Nothing)
    }

    /// One tick of the host for one path: `libcheck_check`, and from 0.11.0 on, when that leaves
    /// the verdict open, `libcheck_need_wait`, a wait of 5 ms, `libcheck_pending`.
    pub(crate) fn tick(&mut self, id: Id) -> Result<Seen<'_>> {
        if self.start.abi == Abi::V0_7_9 {
            return self.check(id);
        }
        let state = self.check(id)?.state();
        if state != State::PENDING {
            return Ok(self.last(state.into()));
        }
        if self.need_wait(id)?.value() == Returned::Wait(true) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.pending(id)
    }

    /// The verdict about a device that answers: as many ticks as it takes, in one step. Whether the
    /// first tick already sees the answer is a matter of microseconds and not compared; that one
    /// request and two ticks are enough is.
    pub(crate) fn verdict(&mut self, id: Id) -> Result<Seen<'_>> {
        let label = format!("verdict #{} ({})", id.0, self.mode());
        let mut records = Records::new();
        let mut ticks = 0;
        let (state, mut called) = loop {
            ticks += 1;
            let called = self.raw_check(&label, id)?;
            records.extend(host::take_lines());
            let mut state = called.value;
            if state == State::PENDING && self.start.abi != Abi::V0_7_9 {
                self.watch(&label, Some(id), |plugin, checker, _| {
                    // SAFETY: `watch` passes the instance's struct.
                    unsafe { plugin.need_wait(checker) }
                })?;
                std::thread::sleep(Duration::from_millis(5));
                let collected = self.watch(&label, Some(id), |plugin, checker, map| {
                    // SAFETY: `watch` passes the instance's struct and the map's word.
                    unsafe { plugin.pending(checker, map) }
                })?;
                state = collected.value.unwrap_or(state);
                self.checker(id)?.set_path_state(state);
                records.extend(host::take_lines());
            }
            if state != State::PENDING || ticks > 5 {
                break (state, called);
            }
            aio_rings::await_unread(1)?;
        };
        if ticks > 2 {
            called.wrong.push(format!("it took {ticks} ticks"));
        }
        let mut seen = Records::new();
        for (level, line) in records {
            let again = line.starts_with("directio: called")
                && seen.iter().any(|(_, other)| *other == line);
            if !again && line != "directio: async io pending" {
                seen.push((level, line));
            }
        }
        let step = self.step(
            &label,
            Call::Other,
            Some(id),
            called,
            state.into(),
            Some(seen),
        )?;
        self.record(step, state.into())
    }
}

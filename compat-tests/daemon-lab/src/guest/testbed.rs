// SPDX-License-Identifier: LGPL-2.0-or-later
//! What the steps of a scenario work with: the disk, the daemon, the load, expectations.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::daemon::{self, Daemon};
use super::disk::Disk;
use super::expectation::Expectation;
use super::load::Load;
use super::recorder::Recorder;
use super::reporter::Reporter;
use super::sampler::Sampler;
use super::wait::{millis, wait_until};
use super::{lio, map, scsi_debug};
use crate::model::{
    Checker, DiskKind, Effort, Event, Figure, Job, PathId, PathView, Scenario, job::SHARED,
};

/// How long most service managers wait for a process to end before they kill it.
const STOP_LIMIT: Duration = Duration::from_secs(90);
/// How long the daemon may take to report its state.
const STATE_LIMIT: Duration = Duration::from_secs(5);
/// How long the load may take to end on a repaired disk. Swallowed commands end when the kernel's
/// time limit has passed for each retry.
const DRAIN_LIMIT: Duration = Duration::from_secs(90);

/// Dropping it kills the daemon and removes the map.
pub(super) struct Testbed {
    checker: Checker,
    effort: Effort,
    scenario: Scenario,
    disk: Disk,
    pub(super) recorder: Recorder,
    daemon: Option<Daemon>,
    sampler: Option<Sampler>,
    load: Option<Load>,
}

impl Testbed {
    pub(super) fn new(job: &Job, scenario: Scenario, disk: Disk, reporter: Reporter) -> Testbed {
        Testbed {
            checker: job.config.checker,
            effort: job.effort,
            scenario,
            disk,
            recorder: Recorder::new(reporter),
            daemon: None,
            sampler: None,
            load: None,
        }
    }

    pub(super) fn checker(&self) -> Checker {
        self.checker
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(super) fn effort(&self) -> Effort {
        self.effort
    }

    /// Undoes all faults.
    pub(super) fn repair_disk(&self) -> Result<()> {
        match self.scenario.disk() {
            DiskKind::ScsiDebug => {
                scsi_debug::repair()?;
                self.disk.repair()?;
                PathId::BOTH
                    .into_iter()
                    .try_for_each(|path| self.disk.start_unit(path))
            }
            DiskKind::Lio => {
                PathId::BOTH.into_iter().try_for_each(lio::resume)?;
                self.disk.repair()
            }
        }
    }

    /// Injects a fault.
    pub(super) fn fault(
        &mut self,
        what: &str,
        inject: impl FnOnce(&Disk) -> Result<()>,
    ) -> Result<()> {
        self.recorder.fault(what);
        inject(&self.disk)
    }

    /// Removes a fault.
    pub(super) fn release(
        &mut self,
        what: &str,
        remove: impl FnOnce(&Disk) -> Result<()>,
    ) -> Result<()> {
        self.recorder.release(what);
        remove(&self.disk)
    }

    /// Waits until the path is as expected. If the limit passes, the step fails and the scenario
    /// goes on.
    pub(super) fn expect(&mut self, path: PathId, expectation: Expectation, seconds: u64) {
        self.expect_all(&[path], expectation, seconds);
    }

    /// The same for both paths.
    pub(super) fn expect_both(&mut self, expectation: Expectation, seconds: u64) {
        self.expect_all(&PathId::BOTH, expectation, seconds);
    }

    fn expect_all(&mut self, paths: &[PathId], expectation: Expectation, seconds: u64) {
        let (mut met, mut missing) = (Vec::new(), paths.to_vec());
        wait_until(Duration::from_secs(seconds), || {
            missing.retain(|&path| {
                let is_met = self.is(path, expectation);
                if is_met {
                    self.recorder.met(path, expectation);
                    met.push(path);
                }
                !is_met
            });
            missing.is_empty() || self.daemon_ended()
        });
        let daemon_ended = !missing.is_empty() && self.daemon_ended();
        for path in missing {
            let why = match daemon_ended {
                true => "multipathd has ended".to_owned(),
                false => format!("not within {seconds} s"),
            };
            let what = format!("{path} {expectation} ({why})");
            self.recorder.step(what, false);
        }
        if let (true, Some(daemon)) = (daemon_ended, &self.daemon) {
            let line = daemon.log().complete().last_line;
            let note = format!("its last log line: {line}");
            self.recorder.reporter().note(note);
        }
        self.recorder.settled(&met, expectation);
    }

    /// Checks for some seconds that a path stays as it is.
    pub(super) fn expect_unchanged(&mut self, path: PathId, is: Expectation, seconds: u64) {
        let changed = wait_until(Duration::from_secs(seconds), || {
            !is.still_holds(self.view(path).as_ref())
        });
        self.recorder
            .step(format!("{path} stays {is} for {seconds} s"), !changed);
    }

    /// True if the daemon shows the path as expected now.
    pub(super) fn is(&self, path: PathId, expectation: Expectation) -> bool {
        expectation.is_met(self.view(path).as_ref())
    }

    fn view(&self, path: PathId) -> Option<PathView> {
        self.sampler.as_ref().and_then(|sampler| sampler.view(path))
    }

    /// Waits until the load makes progress. Does nothing without a load.
    pub(super) fn expect_io(&mut self, seconds: u64) {
        let Some(load) = &self.load else { return };
        let before = load.verified();
        let ok = wait_until(Duration::from_secs(seconds), || {
            load.verified() > before + 1
        });
        self.recorder.step("I/O flows", ok);
    }

    /// Starts the load on the map.
    pub(super) fn start_load(&mut self) -> Result<()> {
        self.load = Some(Load::start(&map::node()?)?);
        Ok(())
    }

    /// Suspends the load after the operation in flight, or resumes it.
    pub(super) fn pause_load(&self, pause: bool) {
        if let Some(load) = &self.load {
            load.pause(pause);
        }
    }

    /// Ends the load and records what it has seen.
    pub(super) fn stop_load(&mut self) {
        let Some(load) = self.load.take() else { return };
        let outcome = load.stop(DRAIN_LIMIT);
        let reporter = self.recorder.reporter();
        reporter.send(Event::Figure {
            name: Figure::SlowestIo,
            value: millis(outcome.slowest),
        });
        for error in outcome.errors.iter().take(3) {
            reporter.note(error);
        }
        let ok = outcome.ended && outcome.errors.is_empty() && outcome.verified > 0;
        let what = format!(
            "{} blocks written and read back, {} errors{}",
            outcome.verified,
            outcome.errors.len(),
            match outcome.ended {
                true => "",
                false => ", the last operation did not end",
            },
        );
        self.recorder.step(what, ok);
    }

    /// Starts a daemon and its sampler. A daemon that has not ended is killed before.
    pub(super) fn start_daemon(&mut self) -> Result<()> {
        self.kill_daemon();
        let log = Path::new(SHARED).join(format!("{}.multipathd.log", self.scenario));
        let log = File::options().create(true).append(true).open(log)?;
        let reporter = self.recorder.reporter();
        let daemon = Daemon::start(log, reporter.start())?;
        let disk = self.disk.addresses().clone();
        self.sampler = Some(Sampler::start(daemon.pid(), disk, reporter.clone()));
        self.daemon = Some(daemon);
        self.recorder.daemon_started();
        Ok(())
    }

    /// Records the daemon's figures and sends it SIGTERM.
    pub(super) fn terminate_daemon(&mut self) -> Result<()> {
        let Some(daemon) = &mut self.daemon else {
            return Ok(());
        };
        if let Some(status) = daemon.exit_status() {
            bail!("multipathd has ended by itself: {status}");
        }
        let sampler = self.sampler.take();
        let mut figures = sampler.map(|s| s.figures()).unwrap_or_default();
        figures.insert(Figure::TickGap, millis(daemon.log().longest_tick_gap()));
        for (name, value) in figures {
            self.recorder.reporter().send(Event::Figure { name, value });
        }
        daemon.terminate()
    }

    /// Ends the daemon while nothing hangs.
    pub(super) fn stop_daemon(&mut self) -> Result<()> {
        self.terminate_daemon()?;
        let ended = wait_until(STOP_LIMIT, || self.daemon_ended());
        self.recorder.step("multipathd ends", ended);
        if let (false, Some(daemon)) = (ended, &self.daemon) {
            let reporter = self.recorder.reporter();
            let line = daemon.log().now().last_line;
            reporter.note(format!("its last log line: {line}"));
            for thread in daemon.threads()? {
                reporter.note(format!("its thread {thread}"));
            }
        }
        Ok(())
    }

    fn kill_daemon(&mut self) {
        self.sampler = None;
        let Some(mut daemon) = self.daemon.take() else {
            return;
        };
        if daemon.exit_status().is_some() {
            return;
        }
        let killed =
            daemon.kill().is_ok() && wait_until(STOP_LIMIT, || daemon.exit_status().is_some());
        self.recorder.step("multipathd had to be killed", false);
        if !killed {
            self.recorder
                .reporter()
                .note("multipathd has survived SIGKILL");
        }
    }

    /// True if there is no daemon, or none any more.
    pub(super) fn daemon_ended(&mut self) -> bool {
        self.daemon
            .as_mut()
            .is_none_or(|daemon| daemon.exit_status().is_some())
    }

    /// When the daemon, which has ended, logged its last line; now, if it has logged nothing.
    pub(super) fn last_log_line_at(&self) -> Instant {
        self.daemon
            .as_ref()
            .and_then(|daemon| daemon.log().complete().last_line_at)
            .unwrap_or_else(Instant::now)
    }

    /// How often the daemon has configured itself; `None` if its log does not show that.
    pub(super) fn configurations(&self) -> Option<u32> {
        let daemon = self.daemon.as_ref()?;
        daemon.log().now().configurations
    }

    /// True if the daemon has configured itself since [`Self::configurations`] returned `before`.
    pub(super) fn has_reconfigured(&self, before: Option<u32>) -> bool {
        match before {
            Some(_) => self.configurations() > before,
            // 0.8.5 replies when its state has changed.
            None => {
                let state = self.send_command("show daemon", STATE_LIMIT);
                state.is_ok_and(|state| !state.contains("configure"))
            }
        }
    }

    /// Sends a command to the daemon and returns the reply.
    ///
    /// # Errors
    /// When there is no daemon or no reply within the limit.
    pub(super) fn send_command(&self, command: &str, limit: Duration) -> Result<String> {
        daemon::send_command(command, limit)
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        self.kill_daemon();
        if let Err(error) = map::remove_all() {
            self.recorder.reporter().note(format!("{error:#}"));
        }
    }
}

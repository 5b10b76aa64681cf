//! What a scenario has in its hands: the disk, the daemon, the I/O load, and verdicts.

use std::fs::File;
use std::path::Path as FilePath;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::daemon::{self, Daemon};
use super::disk::Disk;
use super::load::Load;
use super::reporter::Reporter;
use super::scenarios::{self, Scenario, Target};
use super::want::Want;
use super::watch::Watch;
use super::{lio, map, plugins, scsi_debug, settle, wait_until};
use crate::event::{Event, Figure, Path, StepKind, View};
use crate::job::{Checker, Job, SHARED};

/// How long the daemon may take to set up both paths.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a service manager waits before it kills, on most distributions.
const STOP_LIMIT: Duration = Duration::from_secs(90);
/// How long the daemon may take to tell its state.
const STATE_LIMIT: Duration = Duration::from_secs(5);
/// How long the load may take to end once everything is repaired: commands that were swallowed
/// end by the kernel's limit, after its retries.
const DRAIN_LIMIT: Duration = Duration::from_secs(90);

pub(super) struct Lab<'a> {
    job: &'a Job,
    scenario: &'static Scenario,
    disk: Disk,
    reporter: Reporter,
    daemon: Option<Daemon>,
    watch: Option<Watch>,
    load: Option<Load>,
    /// The last fault or release, and which it was.
    changed: (Instant, StepKind),
    /// Paths that have been seen to fail since the last fault.
    down: Vec<Path>,
}

impl<'a> Lab<'a> {
    pub(super) fn new(
        job: &'a Job,
        scenario: &'static Scenario,
        disk: Disk,
        reporter: Reporter,
    ) -> Lab<'a> {
        let changed = (Instant::now(), StepKind::Other);
        Lab {
            job,
            scenario,
            disk,
            reporter,
            daemon: None,
            watch: None,
            load: None,
            changed,
            down: Vec::new(),
        }
    }

    pub(super) fn checker(&self) -> Checker {
        self.job.checker
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Fewer repetitions are asked for.
    pub(super) fn short(&self) -> bool {
        self.job.short
    }

    /// Plays the scenario from a repaired disk and a fresh daemon to the last figure.
    pub(super) fn play(mut self) {
        if let Err(error) = self.try_play() {
            self.step(format!("{error:#}"), false, StepKind::Other);
        }
    }

    fn try_play(&mut self) -> Result<()> {
        self.repair()?;
        plugins::configure(self.job, self.scenario.target)?;
        // A device that udev still looks at is in use: no map could be set up over it.
        settle()?;
        self.start_daemon()?;
        let first = scenarios::first_word(self.checker());
        self.expect_both(first, START_LIMIT.as_secs());
        // Until udev has seen the new map, the daemon puts off what it is told to do with it.
        settle()?;
        if first == Want::Active {
            self.load = Some(Load::start(&map::node()?)?);
        }
        let acted = (self.scenario.act)(self);
        // Whatever happened, the next scenario needs a disk that answers.
        let repaired = self.repair();
        self.stop_load();
        self.stop_daemon()?;
        acted.and(repaired)
    }

    fn repair(&self) -> Result<()> {
        match self.scenario.target {
            Target::ScsiDebug => {
                scsi_debug::repair()?;
                self.disk.repair()?;
                Path::BOTH
                    .into_iter()
                    .try_for_each(|path| self.disk.spin(path, true))
            }
            Target::Lio => {
                Path::BOTH.into_iter().try_for_each(lio::resume)?;
                self.disk.repair()
            }
        }
    }

    /// Starts a daemon and watches it; one that has not ended is killed.
    pub(super) fn start_daemon(&mut self) -> Result<()> {
        self.kill_daemon();
        let log = File::options()
            .create(true)
            .append(true)
            .open(FilePath::new(SHARED).join(format!("{}.multipathd.log", self.scenario.name)))?;
        let daemon = Daemon::start(log, self.reporter.start())?;
        self.watch = Some(Watch::start(
            daemon.pid(),
            self.disk.addresses().clone(),
            self.reporter.clone(),
        ));
        self.daemon = Some(daemon);
        self.changed = (Instant::now(), StepKind::Other);
        Ok(())
    }

    /// Sends SIGTERM to the daemon, and tells what it has cost.
    pub(super) fn terminate_daemon(&mut self) -> Result<()> {
        let Some(daemon) = &mut self.daemon else {
            return Ok(());
        };
        if let Some(status) = daemon.ended() {
            bail!("multipathd has ended by itself: {status}");
        }
        let mut figures = self
            .watch
            .take()
            .map(|watch| watch.figures())
            .unwrap_or_default();
        figures.insert(Figure::TickGap, millis(daemon.longest_tick_gap()));
        for (name, value) in figures {
            self.reporter.say(Event::Figure { name, value });
        }
        daemon.terminate()
    }

    fn kill_daemon(&mut self) {
        self.watch = None;
        let Some(mut daemon) = self.daemon.take() else {
            return;
        };
        if daemon.ended().is_none() {
            let killed =
                daemon.kill().is_ok() && wait_until(STOP_LIMIT, || daemon.ended().is_some());
            self.step(
                "multipathd had to be killed".to_owned(),
                false,
                StepKind::Other,
            );
            if !killed {
                self.reporter.note("and could not be");
            }
        }
    }

    /// True once the daemon is no more.
    pub(super) fn daemon_ended(&mut self) -> bool {
        self.daemon
            .as_mut()
            .is_none_or(|daemon| daemon.ended().is_some())
    }

    /// Ends the daemon while nothing hangs.
    fn stop_daemon(&mut self) -> Result<()> {
        self.terminate_daemon()?;
        let ended = wait_until(STOP_LIMIT, || self.daemon_ended());
        self.step("multipathd ends".to_owned(), ended, StepKind::Other);
        if let (false, Some(daemon)) = (ended, &self.daemon) {
            let words = daemon.last_line();
            self.reporter.note(format!("its last words: {words}"));
            for thread in daemon.threads()? {
                self.reporter.note(format!("its thread {thread}"));
            }
        }
        Ok(())
    }

    fn stop_load(&mut self) {
        let Some(load) = self.load.take() else { return };
        let outcome = load.stop(DRAIN_LIMIT);
        let slowest = millis(outcome.slowest);
        self.reporter.say(Event::Figure {
            name: Figure::SlowestIo,
            value: slowest,
        });
        for trouble in outcome.trouble.iter().take(3) {
            self.reporter.note(trouble);
        }
        let ok = outcome.ended && outcome.trouble.is_empty() && outcome.verified > 0;
        let what = format!(
            "{} blocks written and read back, {} errors{}",
            outcome.verified,
            outcome.trouble.len(),
            if outcome.ended {
                ""
            } else {
                ", the last operation never came back"
            },
        );
        self.step(what, ok, StepKind::Other);
    }

    /// Breaks something.
    pub(super) fn fault(
        &mut self,
        what: &str,
        act: impl FnOnce(&Disk) -> Result<()>,
    ) -> Result<()> {
        self.reporter.say(Event::Fault {
            what: what.to_owned(),
        });
        self.changed = (Instant::now(), StepKind::Failed);
        self.down.clear();
        act(&self.disk)
    }

    /// Repairs it.
    pub(super) fn release(
        &mut self,
        what: &str,
        act: impl FnOnce(&Disk) -> Result<()>,
    ) -> Result<()> {
        self.reporter.say(Event::Release {
            what: what.to_owned(),
        });
        self.changed = (Instant::now(), StepKind::Recovered);
        act(&self.disk)
    }

    /// Waits until the daemon sees the path as wanted. A path that is late fails the scenario,
    /// which goes on: what comes after may still be worth knowing.
    pub(super) fn expect(&mut self, path: Path, want: Want, seconds: u64) {
        self.expect_all(&[path], want, seconds);
    }

    /// The same for both paths at once.
    pub(super) fn expect_both(&mut self, want: Want, seconds: u64) {
        self.expect_all(&Path::BOTH, want, seconds);
    }

    fn expect_all(&mut self, paths: &[Path], want: Want, seconds: u64) {
        let mut missing = paths.to_vec();
        wait_until(Duration::from_secs(seconds), || {
            missing.retain(|&path| {
                let there = self.is(path, want);
                if there {
                    self.step(
                        format!("{path} {}", want.word()),
                        true,
                        self.kind(path, want),
                    );
                }
                !there
            });
            missing.is_empty() || self.daemon_ended()
        });
        let ended = !missing.is_empty() && self.daemon_ended();
        for &path in &missing {
            let why = match ended {
                true => "multipathd has ended".to_owned(),
                false => format!("not within {seconds} s"),
            };
            let what = format!("{path} {} ({why})", want.word());
            self.step(what, false, StepKind::Other);
        }
        if let (true, Some(daemon)) = (ended, &self.daemon) {
            // It may have ended before the last of its log has been read.
            let _ = daemon.last_words();
            self.reporter
                .note(format!("its last line: {}", daemon.last_line()));
        }
        if matches!(want, Want::Failed | Want::Gone) {
            self.down
                .extend(paths.iter().filter(|path| !missing.contains(path)));
        }
    }

    /// What the time until a path is as wanted means.
    fn kind(&self, path: Path, want: Want) -> StepKind {
        match (want, self.changed.1) {
            (Want::Failed, StepKind::Failed) => StepKind::Failed,
            (Want::Active, StepKind::Recovered) if self.down.contains(&path) => StepKind::Recovered,
            _ => StepKind::Other,
        }
    }

    /// Watches for a while that a path stays as it should.
    pub(super) fn stays(&mut self, path: Path, want: Want, seconds: u64) {
        let left = wait_until(Duration::from_secs(seconds), || {
            !want.still(&self.view(path))
        });
        let what = format!("{path} stays {} for {seconds} s", want.word());
        self.step(what, !left, StepKind::Other);
    }

    /// Holds the load after its operation under way, or lets it go on.
    pub(super) fn pause_load(&self, pause: bool) {
        if let Some(load) = &self.load {
            load.pause(pause);
        }
    }

    /// How often the daemon has configured itself; `None` if its log does not tell.
    pub(super) fn configurations(&self) -> Option<u32> {
        self.daemon.as_ref().and_then(Daemon::configurations)
    }

    /// True if the daemon, which has taken the command to configure itself, has done so; `before` is
    /// what [`Self::configurations`] was before the command.
    pub(super) fn has_reconfigured(&self, before: Option<u32>) -> bool {
        match before {
            Some(_) => self.configurations() > before,
            // This daemon answers the command once its state has changed.
            None => {
                let state = self.ask("show daemon", STATE_LIMIT);
                state.is_ok_and(|state| !state.contains("configure"))
            }
        }
    }

    /// When the daemon logged its last line; now, if it never has.
    pub(super) fn last_words(&self) -> Instant {
        self.daemon
            .as_ref()
            .and_then(Daemon::last_words)
            .unwrap_or_else(Instant::now)
    }

    /// The load makes progress: the map serves I/O.
    pub(super) fn io_flows(&mut self, seconds: u64) {
        let Some(load) = &self.load else { return };
        let before = load.verified();
        let ok = wait_until(Duration::from_secs(seconds), || {
            load.verified() > before + 1
        });
        self.step("I/O flows".to_owned(), ok, StepKind::Other);
    }

    /// True if the daemon sees the path so now.
    pub(super) fn is(&self, path: Path, want: Want) -> bool {
        want.is(&self.view(path))
    }

    fn view(&self, path: Path) -> View {
        self.watch
            .as_ref()
            .map(|watch| watch.view(path))
            .unwrap_or_default()
    }

    /// Sends a command to the daemon.
    pub(super) fn ask(&self, command: &str, limit: Duration) -> Result<String> {
        daemon::ask(command, limit)
    }

    /// Tells how long an operation took, whether it ended, and whether it had to wait for a
    /// device that hung.
    pub(super) fn took(&self, what: &str, time: Duration, ok: bool, waited: bool) {
        self.reporter.say(Event::Took {
            what: what.to_owned(),
            ms: millis(time),
            ok,
            waited,
        });
    }

    pub(super) fn step(&self, what: String, ok: bool, kind: StepKind) {
        let after = millis(self.changed.0.elapsed());
        self.reporter.say(Event::Step {
            what,
            ok,
            after,
            kind,
        });
    }
}

impl Drop for Lab<'_> {
    /// The next scenario finds no daemon and no map.
    fn drop(&mut self) {
        self.kill_daemon();
        if let Err(error) = map::remove_all() {
            self.reporter.note(format!("{error:#}"));
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

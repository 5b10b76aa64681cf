//! What a scenario has in its hands: the disk, the daemon, the I/O load, and verdicts.

use std::fs::{self, File};
use std::path::Path as FilePath;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::daemon::{self, Daemon};
use super::disk::Disk;
use super::load::Load;
use super::reporter::Reporter;
use super::watch::Watch;
use super::{run, wait_until};
use crate::event::{Event, Figure, Path, StepKind, View};
use crate::job::{Job, SHARED};

/// Checker states as multipathd prints them.
const UP: [&str; 2] = ["ready", "ghost"];
const DOWN: [&str; 3] = ["faulty", "i/o timeout", "disconnected"];

/// What a scenario expects a path to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Active,
    Failed,
    Gone,
}

impl Want {
    fn is(self, view: &View) -> bool {
        match self {
            // The kernel may have failed the path before the checker has: both have to say so.
            Want::Active => view.dm == "active" && UP.contains(&view.checker.as_str()),
            Want::Failed => view.dm == "failed" && DOWN.contains(&view.checker.as_str()),
            Want::Gone => view.dev.is_empty(),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Want::Active => "active",
            Want::Failed => "failed",
            Want::Gone => "gone",
        }
    }
}

/// How long the daemon may take to set up both paths.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a service manager waits before it kills, on most distributions.
const STOP_LIMIT: Duration = Duration::from_secs(90);
/// How long the load may take to end once everything is repaired: commands that were swallowed
/// end by the kernel's limit, after its retries.
const DRAIN_LIMIT: Duration = Duration::from_secs(90);

pub(super) struct Lab<'a> {
    job: &'a Job,
    disk: &'a Disk,
    reporter: Reporter,
    scenario: &'a str,
    daemon: Option<Daemon>,
    watch: Option<Watch>,
    load: Option<Load>,
    /// The last fault or release, and which it was.
    changed: (Instant, StepKind),
}

impl<'a> Lab<'a> {
    pub(super) fn new(job: &'a Job, scenario: &'a str, disk: &'a Disk, reporter: Reporter) -> Self {
        let changed = (Instant::now(), StepKind::Other);
        Lab {
            job,
            disk,
            reporter,
            scenario,
            daemon: None,
            watch: None,
            load: None,
            changed,
        }
    }

    /// Fewer repetitions are asked for.
    pub(super) fn short(&self) -> bool {
        self.job.short
    }

    /// Plays one scenario from a repaired disk and a fresh daemon to the last figure.
    pub(super) fn play(&mut self, act: fn(&mut Lab) -> Result<()>) -> Result<()> {
        self.disk.repair()?;
        self.start_daemon()?;
        self.expect_both(Want::Active, START_LIMIT.as_secs());
        // Until udev has seen the new map, the daemon puts off what it is told to do with it.
        run("udevadm", &["settle", "--timeout=30"])?;
        self.load = Some(Load::start(&multipath_device()?)?);
        let acted = act(self);
        // Whatever happened, the next scenario needs a disk that answers.
        let repaired = self.disk.repair();
        self.stop_load();
        self.stop_daemon("multipathd ends")?;
        acted.and(repaired)
    }

    /// Starts a daemon and watches it.
    pub(super) fn start_daemon(&mut self) -> Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(FilePath::new(SHARED).join(format!("{}.multipathd.log", self.scenario)))?;
        let daemon = Daemon::start(log, self.reporter.start())?;
        self.watch = Some(Watch::start(
            daemon.pid(),
            self.disk.hosts(),
            self.reporter.clone(),
        ));
        self.daemon = Some(daemon);
        self.changed = (Instant::now(), StepKind::Other);
        Ok(())
    }

    /// Ends the daemon by SIGTERM, tells how long it took and what it cost.
    pub(super) fn stop_daemon(&mut self, what: &str) -> Result<()> {
        let Some(mut daemon) = self.daemon.take() else {
            return Ok(());
        };
        self.report_figures(&daemon);
        if let Some(status) = daemon.ended() {
            bail!("multipathd has ended by itself: {status}");
        }
        self.watch = None;
        let begin = Instant::now();
        daemon.terminate()?;
        let ended = daemon.wait(STOP_LIMIT);
        self.took(what, begin.elapsed(), ended);
        if !ended {
            self.disk.repair()?;
            daemon.kill()?;
            if !daemon.wait(STOP_LIMIT) {
                bail!("multipathd cannot even be killed");
            }
        }
        Ok(())
    }

    fn report_figures(&self, daemon: &Daemon) {
        let mut figures = self.watch.as_ref().map(Watch::figures).unwrap_or_default();
        figures.insert(Figure::TickGap, millis(daemon.longest_tick_gap()));
        for (name, value) in figures {
            self.reporter.say(Event::Figure { name, value });
        }
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
        act(self.disk)
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
        act(self.disk)
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
        let kind = match (want, self.changed.1) {
            (Want::Failed, StepKind::Failed) => StepKind::Failed,
            (Want::Active, StepKind::Recovered) => StepKind::Recovered,
            _ => StepKind::Other,
        };
        let mut missing = paths.to_vec();
        wait_until(Duration::from_secs(seconds), || {
            missing.retain(|&path| {
                let there = want.is(&self.view(path));
                if there {
                    self.step(format!("{path} {}", want.word()), true, kind);
                }
                !there
            });
            missing.is_empty()
        });
        for path in missing {
            let what = format!("{path} {} (not within {seconds} s)", want.word());
            self.step(what, false, kind);
        }
    }

    /// Watches for a while that a path stays as it should.
    pub(super) fn stays(&mut self, path: Path, want: Want, seconds: u64) {
        let left = wait_until(Duration::from_secs(seconds), || !want.is(&self.view(path)));
        let what = format!("{path} stays {} for {seconds} s", want.word());
        self.step(what, !left, StepKind::Other);
    }

    /// Holds the load after its operation under way, or lets it go on.
    pub(super) fn pause_load(&self, pause: bool) {
        if let Some(load) = &self.load {
            load.pause(pause);
        }
    }

    /// How often the daemon has configured itself.
    pub(super) fn configurations(&self) -> u32 {
        self.daemon.as_ref().map_or(0, Daemon::configurations)
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

    pub(super) fn view(&self, path: Path) -> View {
        self.watch
            .as_ref()
            .map(|watch| watch.view(path))
            .unwrap_or_default()
    }

    /// Sends a command to the daemon.
    pub(super) fn ask(&self, command: &str, limit: Duration) -> Result<String> {
        daemon::ask(command, limit)
    }

    /// A remark in the timeline.
    pub(super) fn note(&self, text: impl Into<String>) {
        self.reporter.note(text);
    }

    pub(super) fn took(&self, what: &str, time: Duration, ok: bool) {
        self.reporter.say(Event::Took {
            what: what.to_owned(),
            ms: millis(time),
            ok,
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

    /// The scenario itself broke down.
    pub(super) fn fail(&self, why: &str) {
        self.step(why.to_owned(), false, StepKind::Other);
    }
}

impl Drop for Lab<'_> {
    /// The next scenario finds no daemon and no map.
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            daemon.wait(STOP_LIMIT);
        }
        if let Err(error) = remove_maps() {
            self.reporter.note(format!("{error:#}"));
        }
    }
}

/// The map's own node: udev's link may be missing.
fn multipath_device() -> Result<String> {
    Ok(format!(
        "/dev/{}",
        maps()?.pop().context("no multipath map")?.0
    ))
}

fn remove_maps() -> Result<()> {
    for (_, name) in maps()? {
        run("dmsetup", &["remove", "--retry", &name])?;
    }
    Ok(())
}

/// Kernel and device-mapper names of all multipath maps.
fn maps() -> Result<Vec<(String, String)>> {
    let mut maps = Vec::new();
    for entry in fs::read_dir("/sys/block")? {
        let entry = entry?;
        let attribute = |name: &str| fs::read_to_string(entry.path().join("dm").join(name));
        if attribute("uuid").is_ok_and(|uuid| uuid.starts_with("mpath-")) {
            let kernel = entry.file_name().to_string_lossy().into_owned();
            maps.push((kernel, attribute("name")?.trim().to_owned()));
        }
    }
    Ok(maps)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

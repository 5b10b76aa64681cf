//! The half that runs in the guest: prepares the disk and the daemon, then plays the scenarios.

mod daemon;
mod disk;
mod lab;
mod lio;
mod load;
mod map;
mod plugins;
mod reporter;
mod scenarios;
mod scsi_debug;
mod want;
mod watch;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

pub(crate) use plugins::DIRECTORIES as PLUGIN_DIRECTORIES;
pub(crate) use scenarios::{SCENARIOS, find};

use crate::event::Event;
use crate::job::{Job, SHARED};
use disk::Disk;
use lab::Lab;
use reporter::Reporter;
use scenarios::Target;

/// The serial line of the records.
const SERIAL_LINE: &str = "/dev/ttyS0";

/// Runs the job found in the directory that both halves share.
pub(crate) fn main() -> Result<()> {
    let reporter = Reporter::new(SERIAL_LINE)?;
    let result = play(&reporter);
    if let Err(error) = &result {
        reporter.say(Event::NotRun {
            why: format!("{error:#}"),
        });
    }
    reporter.say(Event::Done);
    result
}

fn play(reporter: &Reporter) -> Result<()> {
    let job = Job::load(SHARED.as_ref())?;
    plugins::install(&job)?;
    let mut disks = Disks::default();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    reporter.say(Event::Ready {
        kernel: kernel.trim().to_owned(),
    });
    for name in &job.scenarios {
        let scenario = find(name)?;
        reporter.say(Event::Begin {
            scenario: name.clone(),
        });
        match disks.get(scenario.target) {
            Ok(disk) => Lab::new(&job, scenario, disk, reporter.clone()).play(),
            Err(error) => reporter.say(Event::NotRun {
                why: format!("{error:#}"),
            }),
        }
        reporter.say(Event::End {
            scenario: name.clone(),
        });
    }
    Ok(())
}

/// The disks that have been set up.
#[derive(Default)]
struct Disks(BTreeMap<Target, Disk>);

impl Disks {
    /// The disk of a target, set up when it is first asked for.
    fn get(&mut self, target: Target) -> Result<Disk> {
        if let Some(disk) = self.0.get(&target) {
            return Ok(disk.clone());
        }
        let disk = match target {
            Target::ScsiDebug => Disk::find(scsi_debug::DRIVER)?,
            Target::Lio => {
                lio::create().context("the SCSI target of the kernel")?;
                settle()?;
                Disk::find(lio::DRIVER)?
            }
        };
        self.0.insert(target, disk.clone());
        Ok(disk)
    }
}

/// Waits until udev has nothing left to do.
fn settle() -> Result<()> {
    run("udevadm", &["settle", "--timeout=120"])
}

/// Runs a program that has to succeed.
fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| program.to_owned())?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        stderr.trim()
    );
    Ok(())
}

/// Polls until `done` or until `limit` is over; says whether it was done.
fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    loop {
        if done() {
            return true;
        }
        if begin.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

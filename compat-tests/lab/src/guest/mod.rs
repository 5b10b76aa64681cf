//! The half that runs in the guest: prepares the disk and the daemon, then plays the scenarios.

mod daemon;
mod disk;
mod lab;
mod load;
mod plugins;
mod reporter;
mod scenarios;
mod watch;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

pub(crate) use plugins::DIRECTORIES as PLUGIN_DIRECTORIES;
pub(crate) use scenarios::{SCENARIOS, find};

use crate::event::Event;
use crate::job::Job;
use disk::Disk;
use lab::Lab;
use reporter::Reporter;

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
    let job = Job::load()?;
    plugins::install(&job)?;
    let disk = Disk::find()?;
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    reporter.say(Event::Ready {
        kernel: kernel.trim().to_owned(),
    });
    for name in &job.scenarios {
        let scenario = find(name)?;
        reporter.say(Event::Begin {
            scenario: name.clone(),
        });
        let mut lab = Lab::new(&job, name, &disk, reporter.clone());
        if let Err(error) = lab.play(scenario.act) {
            lab.fail(&format!("{error:#}"));
        }
        drop(lab);
        reporter.say(Event::End {
            scenario: name.clone(),
        });
    }
    Ok(())
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

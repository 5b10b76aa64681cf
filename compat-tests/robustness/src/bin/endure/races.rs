//! Many threads at a time in one plugin, under a tool that looks for races or bad accesses.
//!
//! The tool's word is its exit code. Whether it can find anything at all is shown by a plugin that has
//! such faults.

use crate::options::{Options, Subject};
use crate::tally::Tally;
use bench::random::Random;
use harness::abi::Abi;
use harness::devices::Lab;
use harness::{Doing, Result, Trouble};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Files that hang, by number; the last is seen through a loop device.
const FILES: [&str; 3] = ["stall-file 0", "stall-file 1", "stall-loop 2 512"];

/// How much longer than it was told to a host may run: tools are slow to start and to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// So many lines are shown of a run that failed.
const LINES: usize = 60;

/// Tests every plugin.
pub(crate) fn run(options: &Options, tally: &mut Tally) {
    let subjects = options.ours();
    if subjects.is_empty() {
        tally.skip(format!("races: no plugins in {}", options.ours.display()));
    }
    for subject in subjects.iter().filter(|subject| is_worth_it(subject)) {
        let name = format!("many threads: {}", subject.name());
        match one(options, &subject.plugin, &subject.checker, subject.abi) {
            Err(Trouble::NotHere(why)) => tally.skip(format!("{name}: {why}")),
            Err(trouble) => tally.end(&name, Err(trouble.to_string())),
            Ok((true, log)) => tally.end(&name, Ok(last(&log, 1))),
            Ok((false, log)) => tally.end(&name, Err(both_ends(&log))),
        }
    }
    if let Some(faulty) = &options.faulty {
        let outcome = match one(options, faulty, "faulty", Abi::V0_11) {
            Err(trouble) => Err(trouble.to_string()),
            Ok((false, _)) => Ok("found, as it should".to_owned()),
            Ok((true, _)) => Err("nothing was found in a plugin with faults".to_owned()),
        };
        tally.end("many threads: a faulty checker", outcome);
    }
}

/// The asynchrony of all but directio is one and the same, and of it ABI 0.15 differs in the layout only.
fn is_worth_it(subject: &Subject) -> bool {
    match (subject.checker.as_str(), subject.abi) {
        ("directio", _) => true,
        ("tur", abi) => abi != Abi::V0_15,
        (_, abi) => abi == Abi::V0_11,
    }
}

/// One run; whether nothing was found, and what was said.
fn one(options: &Options, plugin: &Path, checker: &str, abi: Abi) -> Result<(bool, String)> {
    let mut lab = Lab::default();
    let mut devices = vec!["stub".to_owned(); 6];
    if checker == "directio" {
        devices = vec![ask(&mut lab, "loop 1048576 512 0 rw")?];
        if !options.serial {
            devices.push("pipe".to_owned());
        }
        for file in FILES {
            devices.push(ask(&mut lab, file)?);
        }
    }
    let log = Log::new()?;
    let mut words = options.under.iter().map(String::as_str);
    let host = match &options.host {
        Some(host) => host.clone(),
        None => bench::driver::sibling("race-host")?,
    };
    let mut command = match words.next() {
        Some(tool) => {
            let mut command = Command::new(tool);
            command.args(words).arg(host);
            command
        }
        None => Command::new(host),
    };
    let mut child = command
        .arg(plugin)
        .arg(abi.name())
        .arg(options.seconds.as_secs().to_string())
        .args(&devices)
        .stdin(Stdio::null())
        .stdout(log.writer()?)
        .stderr(log.writer()?)
        .spawn()
        .doing("starting race-host")?;
    let ended = stir(
        &mut child,
        &mut lab,
        checker == "directio",
        options.seconds,
        &log,
    );
    lab.let_all_go();
    let text = log.text()?;
    Ok((ended?, text))
}

/// Lets files hang and answer until the host has done its work, then answer until it is gone. Whether
/// it ended well.
fn stir(child: &mut Child, lab: &mut Lab, files: bool, span: Duration, log: &Log) -> Result<bool> {
    let mut random = Random(7);
    let start = Instant::now();
    let mut stirs = files;
    loop {
        if let Some(status) = child.try_wait().doing("waiting for race-host")? {
            return Ok(status.success());
        }
        if start.elapsed() > span + PATIENCE {
            child.kill().doing("ending race-host")?;
            lab.let_all_go();
            child.wait().doing("waiting for race-host")?;
            return Err(Trouble::Broken(format!(
                "not done after {:?}\n{}",
                start.elapsed(),
                last(&log.text()?, LINES)
            )));
        }
        if stirs && log.text()?.contains("done") {
            stirs = false;
            for file in 0..FILES.len() {
                ask(lab, &format!("let-go {file} data"))?;
            }
        }
        if stirs {
            let file = random.below(FILES.len());
            match random.below(3) {
                0 => ask(lab, &format!("hold {file}"))?,
                1 => ask(lab, &format!("let-go {file} error:{}", libc::EIO))?,
                _ => ask(lab, &format!("let-go {file} data"))?,
            };
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn ask(lab: &mut Lab, request: &str) -> Result<String> {
    let words: Vec<String> = request.split(' ').map(str::to_owned).collect();
    let answer = lab.serve(&words)?;
    Ok(answer.into_iter().next().unwrap_or_default())
}

/// The first and the last lines.
fn both_ends(text: &str) -> String {
    let count = text.lines().count();
    if count <= LINES {
        return text.to_owned();
    }
    let first: Vec<&str> = text.lines().take(LINES / 2).collect();
    format!("{}\n…\n{}", first.join("\n"), last(text, LINES / 2))
}

/// The last so many lines.
fn last(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(count);
    lines.get(from..).unwrap_or_default().join("\n")
}

/// What a host and its tool say, in a file that goes away with it.
struct Log(PathBuf);

impl Log {
    fn new() -> Result<Log> {
        let name = format!("endure-races-{}", std::process::id());
        let log = Log(std::env::temp_dir().join(name));
        File::create(&log.0).doing("making a file for what race-host says")?;
        Ok(log)
    }

    fn writer(&self) -> Result<File> {
        let mut options = File::options();
        options.append(true).open(&self.0).doing("opening a log")
    }

    fn text(&self) -> Result<String> {
        let text = std::fs::read(&self.0).doing("reading a log")?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

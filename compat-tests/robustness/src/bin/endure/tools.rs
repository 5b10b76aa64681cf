// SPDX-License-Identifier: LGPL-2.0-or-later

//! Many threads in one plugin, and random input, under tools that find races and bad accesses.
//!
//! The exit code of the tool tells whether it has found anything. A plugin with faults shows that it can.
//! What the tools need is built by scripts/endure, which writes a file `status` when it is there.

#![forbid(unsafe_code)]

use crate::options::{Options, Subject};
use crate::report::Report;
use bench::devices::{Devices, Release};
use bench::random::Random;
use bench::release::Release as Plugins;
use harness::abi::Abi;
use harness::process::{HostKind, Launch, TestHost};
use harness::{Doing, Result, Trouble};
use robustness::protocol::{RacesDevice, RacesMessage, RacesOrder};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long what is needed may take to be built.
const BUILD: Duration = Duration::from_secs(1800);

/// How much longer than requested a host may run: tools are slow to start and to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many lines are shown of a run that failed.
const LINES: usize = 60;

/// Files that hang: two, and one behind a loop device.
const FILES: usize = 3;
const LOOP: usize = 2;

/// Inputs of the random part, in thousands, and in the long form.
const RANDOM: [&str; 2] = ["3", "100"];

/// A tool for hosts in the role `races`.
struct Tool {
    wrapper: Vec<OsString>,
    environment: Vec<(&'static str, &'static str)>,
    host: PathBuf,
    plugins: PathBuf,
    /// A plugin with faults, which the tool has to find.
    faulty: PathBuf,
    /// The tool lets no thread run while another one is in io_submit: no device may hang that only the
    /// process itself could release.
    serial: bool,
}

/// Many threads under ThreadSanitizer.
pub(crate) fn races(options: &Options, report: &mut Report) {
    let tool = prepared(options, "races").map(|directory| Tool {
        wrapper: Vec::new(),
        environment: vec![("TSAN_OPTIONS", "exitcode=66:history_size=4")],
        host: directory.join("host"),
        plugins: directory.join("plugins"),
        faulty: directory.join("faulty.so"),
        serial: false,
    });
    match tool {
        Ok(tool) => threads(options, &tool, "races", report),
        Err(trouble) => report.end("races", Err(trouble)),
    }
}

/// Many threads under valgrind.
pub(crate) fn memcheck(options: &Options, report: &mut Report) {
    let tool = prepared(options, "memcheck").and_then(|directory| {
        let words = "valgrind -q --error-exitcode=66 --fair-sched=try --leak-check=full \
            --show-leak-kinds=definite --errors-for-leak-kinds=definite";
        let mut wrapper: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
        let mut suppressions = OsString::from("--suppressions=");
        suppressions.push(directory.join("suppressions"));
        wrapper.push(suppressions);
        Ok(Tool {
            wrapper,
            environment: Vec::new(),
            host: HostKind::WithoutLibmultipath.path()?,
            plugins: options.ours.clone(),
            faulty: directory.join("faulty.so"),
            serial: true,
        })
    });
    match tool {
        Ok(tool) => threads(options, &tool, "memcheck", report),
        Err(trouble) => report.end("memcheck", Err(trouble)),
    }
}

/// Random input under AddressSanitizer.
pub(crate) fn random(options: &Options, report: &mut Report) {
    let result = prepared(options, "random").and_then(|directory| {
        let run = |argument: &str| -> Result<(bool, String)> {
            let log = tempfile::tempdir().doing("making a directory")?;
            let mut log_path = OsString::from("log_path=");
            log_path.push(log.path().join("report"));
            let output = Command::new(directory.join("random"))
                .arg(argument)
                .env("ASAN_OPTIONS", log_path)
                // cciss_tur, upstream's and ours, writes a line there for each failed command.
                .stderr(Stdio::null())
                .output()
                .doing("running random")?;
            let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
            for entry in std::fs::read_dir(log.path())
                .into_iter()
                .flatten()
                .flatten()
            {
                text += &std::fs::read_to_string(entry.path()).unwrap_or_default();
            }
            Ok((output.status.success(), text))
        };
        if run("faulty")?.0 {
            return Err(nothing_found());
        }
        let [few, many] = RANDOM;
        match run(if options.long { many } else { few })? {
            (true, text) => Ok(last(&text, 1)),
            (false, text) => Err(Trouble::Broken(both_ends(&text))),
        }
    });
    report.end("random", result);
}

/// Waits until the directory of a part is complete.
fn prepared(options: &Options, part: &str) -> Result<PathBuf> {
    let directory =
        std::path::absolute(options.prepared.join(part)).doing("finding a directory")?;
    let start = Instant::now();
    loop {
        let status = std::fs::read_to_string(directory.join("status")).unwrap_or_default();
        match status.trim_end().split_once(": ") {
            _ if status.trim_end() == "ready" => return Ok(directory),
            Some(("not run", why)) => return Err(Trouble::NotHere(why.to_owned())),
            Some(("failed", why)) => return Err(Trouble::Broken(why.to_owned())),
            _ if start.elapsed() > BUILD => {
                let why = format!("{} is not complete", directory.display());
                return Err(Trouble::Broken(why));
            }
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Many threads in every plugin.
fn threads(options: &Options, tool: &Tool, part: &str, report: &mut Report) {
    let span = Duration::from_secs(options.threads);
    let plugins = Plugins::new(tool.plugins.clone());
    for subject in options.ours() {
        if is_representative(&subject, options.long) {
            let name = format!("{part}: {}", subject.name());
            let plugin = plugins.file(&subject.checker);
            let result = one(tool, &plugin, &subject.checker, subject.abi, span);
            let result = result.and_then(|run| match run.passed {
                true => Ok(run.text),
                false => Err(Trouble::Broken(run.text)),
            });
            report.end(&name, result);
        }
    }
    let faulty = one(tool, &tool.faulty, "faulty", Abi::V0_11, span);
    let result = faulty.and_then(|run| match run.passed {
        true => Err(nothing_found()),
        false => Ok("found, as it should be".to_owned()),
    });
    report.end(&format!("{part}: a checker with faults"), result);
}

fn nothing_found() -> Trouble {
    Trouble::Broken("the tool finds nothing in a plugin with faults".to_owned())
}

/// All checkers but directio share one asynchronous core, and for those 0.15 differs from 0.11 in the
/// layout only.
fn is_representative(subject: &Subject, long: bool) -> bool {
    match (subject.checker.as_str(), subject.abi) {
        ("directio", _) => true,
        ("tur", abi) => abi != Abi::V0_15,
        (_, abi) => long && abi == Abi::V0_11,
    }
}

/// One run of a host.
struct Run {
    /// The tool has found nothing, and the host says the same.
    passed: bool,
    text: String,
}

fn one(tool: &Tool, plugin: &Path, checker: &str, abi: Abi, span: Duration) -> Result<Run> {
    let mut files = Devices::default();
    let reads = checker == "directio";
    let devices = match reads {
        true => aio_devices(&mut files, tool.serial)?,
        false => vec![RacesDevice::FakeScsi; 6],
    };
    let log = tempfile::NamedTempFile::new().doing("making a log")?;
    let output = || -> Result<File> {
        let mut options = File::options();
        options.append(true).open(log.path()).doing("opening a log")
    };
    let launch = Launch {
        program: tool.host.clone(),
        role: "races",
        surroundings: None,
        wrapper: tool.wrapper.clone(),
    };
    let mut command = launch.command()?;
    command.envs(tool.environment.iter().copied());
    command.stdout(output()?).stderr(output()?);
    let mut host = TestHost::start(&mut command)?;
    let plugin = std::path::absolute(plugin).doing("finding a plugin")?;
    let order = RacesOrder {
        plugin,
        abi,
        span,
        devices,
    };
    host.send(&order).doing("giving an order")?;
    let end = drive(&mut host, &mut files, reads, span);
    files.release_all();
    let log = std::fs::read(log.path()).doing("reading a log")?;
    let log = String::from_utf8_lossy(&log);
    match end? {
        Some(found) => Ok(Run {
            passed: true,
            text: found,
        }),
        None => Ok(Run {
            passed: false,
            text: both_ends(&log),
        }),
    }
}

/// The devices of directio.
fn aio_devices(files: &mut Devices, serial: bool) -> Result<Vec<RacesDevice>> {
    let mut devices = vec![RacesDevice::File(files.loop_device()?)];
    if !serial {
        devices.push(RacesDevice::Pipe);
    }
    for file in 0..FILES {
        devices.push(RacesDevice::File(match file {
            LOOP => files.stalling_loop(file)?,
            _ => files.stalling_file(file)?,
        }));
    }
    Ok(devices)
}

/// Lets files hang and complete reads until the threads of the host have ended, and complete all from then
/// on. What the host reports, or `None` if it or its tool has found something.
fn drive(
    host: &mut TestHost,
    files: &mut Devices,
    reads: bool,
    span: Duration,
) -> Result<Option<String>> {
    let mut random = Random(7);
    let start = Instant::now();
    let mut changes = reads;
    let mut end = None;
    loop {
        if let Some(status) = host.process().try_wait().doing("waiting for a host")? {
            // Messages that were sent before the end.
            while let Ok(Some(message)) = host.receive() {
                if let RacesMessage::End(result) = message {
                    end = Some(result);
                }
            }
            return match end {
                Some(Err(trouble)) => Err(trouble),
                Some(Ok(found)) if status.success() => Ok(Some(found)),
                _ => Ok(None),
            };
        }
        if start.elapsed() > span + PATIENCE {
            host.process().kill().doing("ending a host")?;
            files.release_all();
            host.process().wait().doing("waiting for a host")?;
            let passed = start.elapsed();
            return Err(Trouble::Broken(format!("not done after {passed:?}")));
        }
        if end.is_none() && host.wait(Duration::ZERO)? {
            match host.receive().doing("reading a report")? {
                Some(RacesMessage::ThreadsEnded) => {
                    changes = false;
                    if reads {
                        (0..FILES).try_for_each(|file| files.release(file, Release::Data))?;
                    }
                }
                Some(RacesMessage::End(result)) => end = Some(result),
                None => {}
            }
        }
        if changes {
            let file = random.below(FILES);
            match random.below(3) {
                0 => files.hold(file)?,
                1 => files.release(file, Release::Error)?,
                _ => files.release(file, Release::Data)?,
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The first and the last lines.
fn both_ends(text: &str) -> String {
    if text.lines().count() <= LINES {
        return text.to_owned();
    }
    let first: Vec<&str> = text.lines().take(LINES / 2).collect();
    format!("{}\n…\n{}", first.join("\n"), last(text, LINES / 2))
}

/// This many last lines.
fn last(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(count);
    lines.get(from..).unwrap_or_default().join("\n")
}

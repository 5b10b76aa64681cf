//! System calls per check, counted by strace.

use crate::case::Case;
use crate::figures::Quantity;
use crate::measure::files;
use crate::options::Options;
use crate::report::Report;
use crate::side::{Side, sides};
use harness::devices::Lab;
use harness::{Doing, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How many paths, and how many rounds the shorter and the longer run have. What both do besides
/// falls out of the difference.
const PATHS: usize = 1024;
const FEW_ROUNDS: u64 = 2;
const MANY_ROUNDS: u64 = 6;

/// What the host itself calls in a round: to sleep, to hear what to do, to answer.
const HOSTS_OWN: [&str; 4] = ["clock_nanosleep", "read", "write", "sched_yield"];

type Counts = BTreeMap<String, i64>;

/// Counts for every side.
pub(crate) fn measure(options: &Options, checker: &str, report: &mut Report) -> Result<()> {
    if !have_strace() {
        report.not_run(format!("{checker}: system calls: strace is not installed"));
        return Ok(());
    }
    let case = Case::new(checker, PATHS);
    for side in sides(options, checker) {
        let short = count(&case, &side, FEW_ROUNDS)?;
        let long = count(&case, &side, MANY_ROUNDS)?;
        let checks = (PATHS as u64 * (MANY_ROUNDS - FEW_ROUNDS)) as f64;
        let mut sum = 0.0;
        let mut parts = Vec::new();
        for (name, count) in long {
            let more = (count - short.get(&name).copied().unwrap_or(0)) as f64 / checks;
            // A handful in a thousand checks is the allocator's or the scheduler's.
            if !HOSTS_OWN.contains(&name.as_str()) && more >= 0.005 {
                sum += more;
                parts.push((name, more));
            }
        }
        report.enter(&case, Quantity::Syscalls, side.who, &[sum]);
        report.note_syscalls(&case, side.who, parts);
    }
    Ok(())
}

fn have_strace() -> bool {
    let version = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// The system calls of a host that does so many rounds.
fn count(case: &Case, side: &Side, rounds: u64) -> Result<Counts> {
    let mut lab = Lab::default();
    let files = files(&mut lab, case)?;
    let log = Log::new();
    let name = log.0.to_string_lossy().into_owned();
    let mut host = side.start(
        case,
        &files,
        &["strace", "-f", "-qq", "-c", "-U", "calls,name", "-o", &name],
    )?;
    host.tell(&format!("tick {rounds}"))?;
    host.dismiss()?;
    log.read()
}

/// What strace writes; removed in the end.
struct Log(PathBuf);

impl Log {
    fn new() -> Log {
        Log(std::env::temp_dir().join(format!("bench-strace-{}", std::process::id())))
    }

    /// Lines of a number and a name, after a heading.
    fn read(&self) -> Result<Counts> {
        let text = std::fs::read_to_string(Path::new(&self.0)).doing("reading strace's counts")?;
        let counts = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let number = words.next()?.parse().ok()?;
            let name = words.next().filter(|name| *name != "total")?;
            Some((name.to_owned(), number))
        });
        Ok(counts.collect())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! System calls per check, counted by strace.

#![forbid(unsafe_code)]

use crate::case::Case;
use crate::contender::Entry;
use crate::figure::Figure;
use crate::measure::files;
use crate::results::Results;
use bench::devices::Devices;
use bench::protocol::{Pace, Request, Round};
use harness::{Doing, Result};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

/// How many paths, and how many rounds the shorter and the longer run have. The difference of the two
/// runs holds nothing but checks.
const PATHS: usize = 1024;
const FEW_ROUNDS: u32 = 2;
const MANY_ROUNDS: u32 = 6;

/// Calls of the host itself in a round: to sleep, to read requests, to reply.
const HOSTS_OWN: [&str; 4] = ["clock_nanosleep", "read", "write", "sched_yield"];

/// A handful in a thousand checks are the allocator's or the scheduler's.
const FEW: f64 = 0.005;

type Counts = BTreeMap<String, u64>;

/// Counts for all entries.
pub(crate) fn measure(checker: &str, entries: &[Entry], results: &mut Results) -> Result<()> {
    if !have_strace() {
        let what = format!("{checker}: system calls: strace is not installed");
        results.not_run.push(what);
        return Ok(());
    }
    let case = Case::new(checker, PATHS);
    for entry in entries {
        let short = count(&case, entry, FEW_ROUNDS)?;
        let long = count(&case, entry, MANY_ROUNDS)?;
        let checks = PATHS as f64 * f64::from(MANY_ROUNDS - FEW_ROUNDS);
        let mut sum = 0.0;
        for (name, count) in long {
            let before = short.get(&name).copied().unwrap_or(0);
            let more = (count as f64 - before as f64) / checks;
            if !HOSTS_OWN.contains(&name.as_str()) && more >= FEW {
                sum += more;
                results.add(&case, Figure::SyscallsOf(name), entry.contender, &[more]);
            }
        }
        results.add(&case, Figure::Syscalls, entry.contender, &[sum]);
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

/// The system calls of a host that does this many rounds.
fn count(case: &Case, entry: &Entry, rounds: u32) -> Result<Counts> {
    let mut devices = Devices::default();
    let files = files(&mut devices, case)?;
    let log = tempfile::NamedTempFile::new().doing("making a file for strace")?;
    let name = log.path().to_string_lossy();
    let mut host = entry.start(
        case,
        &files,
        &["strace", "-f", "-qq", "-c", "-U", "calls,name", "-o", &name],
    )?;
    let _: Round = host.ask(&Request::Rounds {
        count: rounds,
        pace: Pace::Daemon,
    })?;
    host.end()?;
    // Lines of a number and a name, after a heading.
    let text = std::fs::read_to_string(log.path()).doing("reading strace's counts")?;
    let counts = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let number = words.next()?.parse().ok()?;
        let name = words.next().filter(|name| *name != "total")?;
        Some((name.to_owned(), number))
    });
    Ok(counts.collect())
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! What is run, and what is reported.

#![forbid(unsafe_code)]

use crate::scsi::arguments::Arguments;
use crate::scsi::pair::Pair;
use crate::scsi::results::Results;
use crate::scsi::{
    generic_tables, libmultipath, log_sink, random, scenario_driver, sequential, tables,
};
use cases::Checker;
use clap::Parser;
use harness::ledger::{Ledger, Suite};
use harness::process::{HostKind, Launch};
use harness::summary::{self, Summary};
use harness::surroundings::Surroundings;
use harness::{Doing, Trouble, host, plugin, say};
use std::os::unix::process::CommandExt;
use std::process::ExitCode;
use std::time::Instant;

/// The role of the host executables.
const ROLE: &str = "scsi";

/// How often the scenarios are run when they fail. They tell milliseconds from tens of them, which a
/// busy machine may blur; a fault of a checker shows each time.
const PROTOCOL_ATTEMPTS: u32 = 3;

/// The suite's program: becomes the host of the ABI, with the release's C library and libraries.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let become_host = || {
        let surroundings = Surroundings::of(&arguments.upstream.join("libcheck.so"));
        let launch = Launch::new(HostKind::from(arguments.abi), ROLE)?.with(&surroundings);
        let mut command = launch.command()?;
        let error = command.args(std::env::args_os().skip(1)).exec();
        Err(error).doing("starting a test host")
    };
    summary::finish("compat-scsi", become_host())
}

/// The role in a host executable. `words` are the suite's arguments.
pub fn host_main(words: Vec<String>) -> ExitCode {
    let arguments = Arguments::parse_from(["compat-scsi".to_owned()].into_iter().chain(words));
    let result = run(&arguments).map_err(Trouble::Broken);
    summary::finish("compat-scsi", result)
}

/// Loads the release's libmultipath as a host has it.
fn load_libmultipath(arguments: &Arguments) -> std::result::Result<(), String> {
    let surroundings = Surroundings::of(&arguments.upstream.join("libcheck.so"));
    let Some(library) = &surroundings.libmultipath else {
        let place = arguments.upstream.display();
        return Err(format!("no libmultipath.so.0 beside {place}"));
    };
    plugin::open(library, libc::RTLD_NOW | libc::RTLD_GLOBAL)
        .map(drop)
        .map_err(|trouble| trouble.to_string())?;
    libmultipath::use_plugins(&arguments.upstream);
    host::accept_any_class();
    host::use_sink(log_sink::keep);
    Ok(())
}

fn run(arguments: &Arguments) -> std::result::Result<Summary, String> {
    load_libmultipath(arguments)?;
    let Arguments {
        abi,
        upstream,
        ours,
        ..
    } = arguments;
    let ledger = Ledger::read(&arguments.ledger)?.pinned(Suite::Scsi, *abi);
    let load = |checker: Checker| Pair::load(checker, *abi, upstream, ours, &ledger);
    let pairs: Vec<Pair> = arguments
        .checkers()
        .into_iter()
        .map(load)
        .collect::<std::result::Result<_, _>>()?;
    let now = || {
        std::time::UNIX_EPOCH
            .elapsed()
            .map_or(0, |time| time.as_secs())
    };
    let seed = arguments.seed.unwrap_or_else(now);
    say!("seed {seed}");

    let mut total = Results::default();
    log_sink::silently(|| generic_tables::compare(*abi, &mut total))?;
    for pair in &pairs {
        let replies = arguments.replies.div_ceil(pairs.len() as u64);
        total.add(compare_verdicts(pair, seed, replies)?);
    }
    if !arguments.verdicts {
        total.add(compare_protocol(&pairs));
        for pair in &pairs {
            total.add(sequential::run_all(pair));
        }
    }

    for (level, line) in log_sink::take_unassigned() {
        total.fail("a log record of no path", &format!("{level} {line}"));
    }
    for violation in host::take_violations() {
        total.fail("a plugin's violation", &violation);
    }
    let shown: Vec<&str> = total.rows.iter().copied().collect();
    for id in shown.iter().filter(|id| !ledger.contains(**id)) {
        total.fail(
            id,
            "shows, but the ledger does not have it for this suite and ABI",
        );
    }
    if arguments.is_complete() {
        for id in ledger.iter().filter(|id| !shown.contains(&id.as_str())) {
            total.fail(id, "is in the ledger, but does not show any more");
        }
    }
    say!(
        "{} replies and {} lines of the log compared; rows of the ledger that showed: {}",
        total.replies,
        total.lines,
        shown.join(" ")
    );
    Ok(total.summary)
}

/// The part that takes processor time: verdicts.
fn compare_verdicts(pair: &Pair, seed: u64, replies: u64) -> std::result::Result<Results, String> {
    let start = Instant::now();
    let name = pair.checker.name();
    let mut results = Results::default();
    results.enter(&format!("{name}, messages"), pair.compare_messages());
    tables::run_all(pair, &mut results);
    let (by_hand, replies_by_hand) = (results.cases, results.replies);
    random::run(pair, seed, replies, &mut results)?;
    say!(
        "{name:<13} {by_hand:>4} cases, {:>7} random cases with {:>7} replies, {} mismatches, {:.1} s",
        results.cases - by_hand,
        results.replies - replies_by_hand,
        results.mismatches,
        start.elapsed().as_secs_f64(),
    );
    Ok(results)
}

/// The asynchronous protocol, of all checkers at once.
fn compare_protocol(pairs: &[Pair]) -> Results {
    for attempt in 1..PROTOCOL_ATTEMPTS {
        let results = run_scenarios(pairs);
        if results.mismatches == 0 {
            return results;
        }
        say!("attempt {attempt} of {PROTOCOL_ATTEMPTS}: the scenarios are run again");
    }
    run_scenarios(pairs)
}

/// The part that waits.
fn run_scenarios(pairs: &[Pair]) -> Results {
    let start = Instant::now();
    host::set_sync(false);
    let mut results = Results::default();
    std::thread::scope(|scope| {
        let run = |pair| scope.spawn(move || scenario_driver::run_all(pair));
        let all: Vec<_> = pairs.iter().map(run).collect();
        for one in all {
            match one.join() {
                Ok(one) => results.add(one),
                Err(_) => results.fail("the asynchronous protocol", "a panic"),
            }
        }
    });
    host::set_sync(true);
    say!(
        "protocol      {:>4} scenarios, {} mismatches, {:.1} s",
        results.cases,
        results.mismatches,
        start.elapsed().as_secs_f64(),
    );
    results
}

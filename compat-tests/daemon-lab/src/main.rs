// SPDX-License-Identifier: LGPL-2.0-or-later
//! A real multipathd over faulty SCSI disks in a User-Mode Linux guest.
//!
//! One program is both halves: on the host it prepares a Debian tree, boots a guest from it and
//! evaluates the guest's records; in the guest it runs the scenarios.

#![forbid(unsafe_code)]

mod args;
mod guest;
mod host;
mod model;
mod report;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use args::Command;
use host::plan::Form;
use host::tree::{self, Tree, Trees};
use host::{exec, log_directory, queue, recorded};
use model::{Outcome, Scenario, Suite};
use report::summary::Summary;
use report::{compare, json_rows, tables};

/// The exit status when nothing could be run.
const NOT_RUN: u8 = 3;
/// The exit status when the command of `--exec` could not be run, as with chroot(1) and timeout(1).
const NOT_EXECUTED: u8 = 125;

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some("guest") => guest::main().map(|()| ExitCode::SUCCESS),
        _ => run(Command::read()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("lab: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::List => list(),
        Command::Report(runs) => return Ok(conclude(&recorded::load(&runs)?, true)),
        Command::ReportJson(runs) => print!("{}", json_rows::rows(&recorded::load(&runs)?)?),
        Command::Exec {
            suite,
            trees,
            plugins,
            command,
        } => {
            let cache = cache()?;
            let Some(found) = find_trees(&cache, &[suite], trees) else {
                return Ok(ExitCode::from(NOT_RUN));
            };
            if let Some(tree) = found.get(&suite) {
                let error = exec::exec(&cache, tree, &plugins, &command);
                eprintln!("lab: {error:#}");
            }
            return Ok(ExitCode::from(NOT_EXECUTED));
        }
        Command::Run {
            suites,
            trees,
            plan,
            retention,
        } => {
            let cache = cache()?;
            let Some(trees) = find_trees(&cache, &suites, trees) else {
                return Ok(ExitCode::from(NOT_RUN));
            };
            let logs = log_directory::create(&cache, retention)?;
            let outcomes = queue::run(&plan, &trees, &logs);
            println!("\nLogs, consoles and timelines: {}\n", logs.display());
            return Ok(conclude(&outcomes, plan.form == Form::Compare));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list() {
    for &scenario in Scenario::all() {
        let short = match scenario.in_short_form() {
            true => "short",
            false => "",
        };
        println!("{scenario:20} {short:6} {}", scenario.about());
    }
}

/// The directory of trees and logs.
fn cache() -> Result<PathBuf> {
    let cache = std::env::var_os("LAB_CACHE").map_or("target/lab".into(), PathBuf::from);
    std::fs::create_dir_all(&cache).with_context(|| cache.display().to_string())?;
    Ok(cache.canonicalize()?)
}

/// The trees of these suites, without those that cannot be built; `None` if the programs for guests
/// cannot be installed. Prints what is missing.
fn find_trees(cache: &Path, suites: &[Suite], trees: Trees) -> Option<BTreeMap<Suite, Tree>> {
    if let Err(error) = tree::install_tools() {
        println!("NOT RUN: {error:#}");
        return None;
    }
    Some(tree::prepare_all(cache, suites, trees))
}

/// Prints the tables, the comparison if asked for, and the summary.
fn conclude(outcomes: &[Outcome], compare: bool) -> ExitCode {
    println!("{}\n", tables::all(outcomes));
    let mut differs = false;
    if compare {
        let comparison = compare::compare(outcomes);
        println!("{}", comparison.text);
        differs = comparison.differs;
    }
    let summary = Summary::new(outcomes);
    summary.print();
    match (differs || summary.failed() > 0, summary.passed()) {
        (true, _) => ExitCode::FAILURE,
        (false, 0) => ExitCode::from(NOT_RUN),
        (false, _) => ExitCode::SUCCESS,
    }
}

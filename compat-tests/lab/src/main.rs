//! A real multipathd over faulty SCSI disks in a User-Mode Linux guest.
//!
//! One program is both halves: on the host it prepares a Debian tree, boots a guest on it and
//! judges what the guest reports; in the guest it plays the scenarios.

mod event;
mod guest;
mod job;
mod report;
mod tree;
mod vm;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use job::{Checker, Job};
use report::Mark;
use tree::Suite;

#[derive(Parser)]
#[command(
    name = "scripts/lab",
    about = "A real multipathd over faulty SCSI disks in a User-Mode Linux guest"
)]
struct Arguments {
    /// Debian suite whose multipathd and libraries are used
    #[arg(long, value_enum, default_value = "bookworm")]
    suite: Suite,
    /// Path checker the daemon is told to use
    #[arg(long, value_enum, default_value = "tur")]
    checker: Checker,
    /// Explain the scenarios and end
    #[arg(long)]
    list: bool,
    /// Make the tree anew
    #[arg(long)]
    rebuild: bool,
    /// Scenarios to play; all if none is named
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(guest::SCENARIOS.iter().map(|s| s.name)))]
    scenario: Vec<String>,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("guest") {
        return finish(guest::main().map(|()| ExitCode::SUCCESS));
    }
    finish(run(&Arguments::parse()))
}

fn finish(result: Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("lab: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.list {
        for scenario in guest::SCENARIOS {
            println!("{:12} {}", scenario.name, scenario.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let cache = PathBuf::from(std::env::var_os("LAB_CACHE").context("LAB_CACHE is not set")?);
    std::fs::create_dir_all(&cache)?;
    let cache = cache.canonicalize()?;
    tree::install_tools()?;
    let tree = tree::prepare(&cache, arguments.suite, arguments.rebuild)?;
    for (package, version) in &tree.packages {
        println!("{}: {package} {version}", arguments.suite.name());
    }
    let directory = cache.join("runs").join("one");
    std::fs::create_dir_all(&directory)?;
    let scenarios = if arguments.scenario.is_empty() {
        guest::SCENARIOS.iter().map(|s| s.name.to_owned()).collect()
    } else {
        arguments.scenario.clone()
    };
    let job = Job {
        checker: arguments.checker,
        own_plugins: false,
        short: false,
        scenarios,
    };
    let mut records = Vec::new();
    vm::boot(&tree, &job, &directory, |record| {
        if let Some(line) = report::line(&record) {
            println!("{line}");
        }
        records.push(record);
    })?;
    let mut worst = Mark::Passed;
    for name in &job.scenarios {
        let mark = report::judge(&records, name);
        println!("{name:12} {}", mark.word());
        worst = worst.max(mark);
    }
    Ok(ExitCode::from(u8::from(worst == Mark::Failed)))
}

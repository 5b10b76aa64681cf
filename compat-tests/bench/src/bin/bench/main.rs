// SPDX-License-Identifier: LGPL-2.0-or-later

//! What a check costs: upstream's plugins, ours and the lower bound, in one run.
//!
//! | module | subject |
//! |---|---|
//! | `case` | the conditions of a measurement |
//! | `figure` | what is measured; medians and spreads |
//! | `contender` | plugins and lower bounds, started in hosts |
//! | `measure` | rounds of all contenders by turns |
//! | `memory`, `syscalls`, `pathcheck` | bytes per path, system calls per check, a run of pathcheck |
//! | `results` | the numbers and their CSV |
//! | `targets` | what is promised, read from targets.csv, and whether it is kept |
//! | `tables`, `page`, `compare` | what is printed |

#![forbid(unsafe_code)]

mod case;
mod compare;
mod contender;
mod figure;
mod measure;
mod memory;
mod page;
mod pathcheck;
mod results;
mod syscalls;
mod tables;
mod targets;

use bench::release::Release;
use clap::{Args, Parser, Subcommand};
use harness::{Doing, Result, Trouble};
use results::Results;
use std::path::PathBuf;
use std::process::ExitCode;
use tables::Style;

/// Measures what a check costs, and prints results.
#[derive(Parser)]
enum Options {
    /// Measures, as root; prints all numbers and the promises.
    Run(Run),
    #[command(flatten)]
    Show(Show),
}

/// What to do with results.
#[derive(Subcommand)]
enum Show {
    /// Prints all numbers and the promises.
    Print { csv: PathBuf },
    /// Prints the part of the page that comes from results.
    Markdown { csv: PathBuf },
    /// Puts that part into a page.
    UpdatePage { csv: PathBuf, page: PathBuf },
    /// Fails when a page differs from that part, or has numbers besides.
    CheckPage { csv: PathBuf, page: PathBuf },
    /// Prints the promises that were met before and are not now; fails if there are any.
    Compare { old: PathBuf, new: PathBuf },
}

/// What to measure.
#[derive(Args)]
struct Run {
    /// Upstream's plugins, a directory for each release.
    #[arg(long, value_delimiter = ',')]
    upstream: Vec<PathBuf>,
    /// Our plugins.
    #[arg(long, default_value = "target/plugins")]
    ours: PathBuf,
    /// These checkers only.
    #[arg(long, value_delimiter = ',')]
    checkers: Vec<String>,
    /// The numbers of paths.
    #[arg(long, value_delimiter = ',', default_value = "1,64,1024,4096")]
    paths: Vec<usize>,
    /// How many turns each contender takes at least; more where turns are quick.
    #[arg(long, default_value_t = 7)]
    repeats: usize,
    /// The results are written to this file, too.
    #[arg(long)]
    csv: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Options::parse() {
        Options::Run(options) => run(&options),
        Options::Show(show) => show.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("bench: {trouble}");
            ExitCode::FAILURE
        }
    }
}

impl Show {
    fn run(&self) -> Result<()> {
        match self {
            Show::Print { csv } => print(&Results::read(csv)?),
            Show::Markdown { csv } => {
                print!("{}", page::printed(&Results::read(csv)?)?);
                Ok(())
            }
            Show::UpdatePage { csv, page } => page::update(&Results::read(csv)?, page),
            Show::CheckPage { csv, page } => page::check(&Results::read(csv)?, page),
            Show::Compare { old, new } => {
                match compare::print(&Results::read(old)?, &Results::read(new)?)? {
                    0 => Ok(()),
                    broken => Err(Trouble::Broken(format!("{broken} promises are broken"))),
                }
            }
        }
    }
}

fn print(results: &Results) -> Result<()> {
    println!("{}", tables::numbers(results));
    let outcomes = targets::outcomes(results)?;
    println!("{}", tables::promises(&outcomes, Style::Text));
    println!("{} not run", results.not_run.len());
    for what in &results.not_run {
        println!("  {what}");
    }
    Ok(())
}

fn run(options: &Run) -> Result<()> {
    let releases = options.upstream.iter().cloned();
    let releases: Vec<Release> = releases.map(Release::new).collect();
    let versions: Vec<String> = releases
        .iter()
        .map(|release| release.version.clone())
        .collect();
    let ours = Release::new(options.ours.clone());
    let checkers = match options.checkers.is_empty() {
        true => ours.checkers(),
        false => options.checkers.clone(),
    };
    let turns = options.repeats.max(1);
    let mut results = Results::new(&versions);
    let plugins = |checker: &str| contender::plugins(&releases, &ours, checker);
    for case in case::all(&checkers, &options.paths) {
        eprintln!("bench: {case}");
        let mut entries = plugins(&case.checker);
        entries.extend(contender::lower_bounds(&case.checker));
        measure::measure(&case, &entries, turns, &mut results)?;
    }
    for checker in &checkers {
        let mut entries = plugins(checker);
        for missing in contender::missing(&entries) {
            let what = format!("{checker}: {missing}: no such plugin here");
            results.not_run.push(what);
        }
        eprintln!("bench: {checker}, memory");
        for entry in &entries {
            memory::measure(checker, entry, &mut results)?;
        }
        eprintln!("bench: {checker}, system calls");
        entries.extend(contender::lower_bounds(checker));
        syscalls::measure(checker, &entries, &mut results)?;
    }
    if checkers.iter().any(|checker| checker == "directio") {
        eprintln!("bench: pathcheck");
        pathcheck::measure(turns, &mut results)?;
    }
    if let Some(csv) = &options.csv {
        std::fs::write(csv, results.to_csv()).doing(&csv.display().to_string())?;
    }
    print(&results)
}

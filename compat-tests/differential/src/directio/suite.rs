// SPDX-License-Identifier: LGPL-2.0-or-later

//! `compat-directio`: runs the tasks and reports.
#![forbid(unsafe_code)]

use super::compare::LEVELS;
use super::report;
use super::tasks::{Comparer, Options};
use clap::Parser;
use harness::summary::Summary;
use harness::surroundings::Surroundings;
use harness::{Result, Trouble, say, summary};
use std::process::ExitCode;
use std::time::Instant;

fn run(options: &Options) -> Result<Summary> {
    let began = Instant::now();
    for side in options.sides() {
        let plugin = options.plugin(side);
        if !plugin.exists() {
            let plugin = plugin.display();
            return Err(Trouble::Broken(format!("there is no plugin {plugin}")));
        }
    }
    let tasks = options.tasks();
    if tasks.is_empty() {
        return Err(Trouble::Broken("no scenario has such a name".to_owned()));
    }
    let comparer = Comparer {
        surroundings: Surroundings::of(&options.upstream),
        options,
    };
    if let Some(side) = options.only {
        return Ok(report::print_steps(&comparer, &tasks, side));
    }
    say!("upstream: {}", options.upstream.display());
    if !options.twice {
        let ours = options.ours.display();
        say!("ours:     {ours} (levels of log records: {LEVELS})");
    }
    say!("seed: {}", options.seed);
    say!("{:<44} steps alone  differences", "scenario");
    let done = comparer.compare_all(&tasks, |task, comparison| {
        say!("{}", report::line(task, comparison));
    });
    report::report(options, &done, began)
}

/// The `main` of `compat-directio`.
pub fn main() -> ExitCode {
    let options = Options::parse();
    if options.list {
        report::list();
        return ExitCode::SUCCESS;
    }
    summary::finish("compat-directio", run(&options))
}

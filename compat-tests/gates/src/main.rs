// SPDX-License-Identifier: LGPL-2.0-or-later

//! Breaks the checkers on purpose, and fails when no test notices: scripts/mutants and
//! scripts/broken-checkers.
#![forbid(unsafe_code)]

mod accepted;
mod copy;
mod differential;
mod list;
mod selected;
mod unit;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Breaks the checkers on purpose, and fails when no test notices")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Each selected mutant has to fail the unit tests of its crate
    Unit,
    /// Each selected mutant has to fail the differential suite of its checker
    Differential {
        /// Only the first mutant of each checker
        #[arg(long)]
        quick: bool,
        /// Only this checker
        #[arg(long)]
        checker: Option<String>,
    },
    /// Compares the results of cargo-mutants with the accepted survivors
    Survivors {
        /// The folder that cargo-mutants wrote
        #[arg(long)]
        results: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Unit => unit::run(),
        Command::Differential { quick, checker } => differential::run(quick, checker.as_deref()),
        Command::Survivors { results } => accepted::run(&results),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Makes the generated pages of `docs/`.
#![forbid(unsafe_code)]

mod differences;

use harness::ledger::Ledger;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
usage: generate-docs [--check]
  --check   change nothing; fail when a page differs from what would be made
Run in the top directory of the repository.";

/// Writes the page, or compares it.
fn page(path: &Path, text: &str, check: bool) -> Result<(), String> {
    let place = path.display();
    if !check {
        return std::fs::write(path, text).map_err(|error| format!("{place}: {error}"));
    }
    let present = std::fs::read_to_string(path).map_err(|error| format!("{place}: {error}"))?;
    if present != text {
        let line = present
            .lines()
            .zip(text.lines())
            .take_while(|(present, wanted)| present == wanted)
            .count();
        return Err(format!(
            "{place} is out of date from line {} on: run scripts/generate-docs",
            line + 1
        ));
    }
    println!("{place} is up to date");
    Ok(())
}

fn run() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let check = match arguments.as_slice() {
        [] => false,
        [word] if word == "--check" => true,
        _ => return Err(USAGE.to_owned()),
    };
    let ledger = Ledger::read(Path::new("docs/differences.toml"))?;
    differences::check_files(&ledger, Path::new("."))?;
    page(
        Path::new("docs/differences.md"),
        &differences::page(&ledger),
        check,
    )
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("generate-docs: {why}");
            ExitCode::FAILURE
        }
    }
}

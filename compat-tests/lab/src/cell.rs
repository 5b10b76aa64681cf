//! One cell's run: its directory, its guest, its records.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::args::{Cell, libraries};
use crate::event::Record;
use crate::job::Job;
use crate::report;
use crate::tree::Tree;
use crate::vm;

/// What came of a cell.
pub(crate) struct Outcome {
    pub(crate) cell: Cell,
    /// The scenarios it was to play.
    pub(crate) scenarios: Vec<String>,
    pub(crate) records: Vec<Record>,
}

impl Outcome {
    /// A cell that could not even be booted.
    pub(crate) fn not_run(cell: &Cell, scenarios: Vec<String>, why: &str) -> Outcome {
        println!("NOT RUN {}: {why}", cell.name());
        Outcome {
            cell: cell.clone(),
            scenarios,
            records: Vec::new(),
        }
    }
}

/// Boots the cell's guest in `directory` and prints its timeline, each line after `prefix`.
pub(crate) fn run(
    cell: &Cell,
    tree: &Tree,
    scenarios: Vec<String>,
    short: bool,
    directory: PathBuf,
    prefix: &str,
) -> Outcome {
    let mut records = Vec::new();
    let job = Job {
        checker: cell.checker,
        own_plugins: cell.plugins.directory().is_some(),
        short,
        scenarios: scenarios.clone(),
    };
    let result = prepare(cell, &directory).and_then(|()| {
        vm::boot(tree, &job, &directory, |record| {
            if let Some(line) = report::line(&record) {
                println!("{prefix}{line}");
            }
            records.push(record);
        })
    });
    // The scenarios it did not play, or not to their end, are judged by the missing records.
    if let Err(error) = result {
        println!("{prefix}NOT RUN to the end: {error:#}");
    }
    if let Err(error) = store(&directory, &records) {
        eprintln!("lab: {error:#}");
    }
    Outcome {
        cell: cell.clone(),
        scenarios,
        records,
    }
}

/// Makes the directory that the guest will see.
fn prepare(cell: &Cell, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    if let Some(ours) = cell.plugins.directory() {
        let copies = directory.join("plugins");
        fs::create_dir_all(&copies)?;
        for library in libraries(ours)? {
            fs::copy(
                &library,
                copies.join(library.file_name().context("no file name")?),
            )?;
        }
    }
    Ok(())
}

/// Keeps the records next to the logs, for people and for programs.
fn store(directory: &Path, records: &[Record]) -> Result<()> {
    let mut text = String::new();
    let mut json = String::new();
    for record in records {
        if let Some(line) = report::line(record) {
            text.push_str(&line);
            text.push('\n');
        }
        json.push_str(&serde_json::to_string(record)?);
        json.push('\n');
    }
    fs::write(directory.join("timeline.txt"), text)?;
    fs::write(directory.join("timeline.json"), json)?;
    Ok(())
}

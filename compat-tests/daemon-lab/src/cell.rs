//! One cell of the matrix and its run: its directory, its guest, its records.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::args::libraries;
use crate::event::{Event, Record};
use crate::job::{Checker, Job};
use crate::report;
use crate::tree::{Suite, Tree};
use crate::vm;

/// The records of a guest, one JSON object a line.
pub(crate) const TIMELINE: &str = "timeline.json";

/// One kind of guest: what it boots, what is checked, whose checker does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) suite: Suite,
    pub(crate) checker: Checker,
    pub(crate) whose: Whose,
}

/// Whose checkers the daemon loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Whose {
    C,
    Ours,
}

impl Whose {
    /// The word for tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Whose::C => "C",
            Whose::Ours => "ours",
        }
    }
}

impl Cell {
    /// A name for log lines and directories.
    pub(crate) fn name(&self) -> String {
        format!(
            "{}-{}-{}",
            self.suite.name(),
            self.checker.name(),
            self.whose.name()
        )
    }

    /// The cell of this name.
    pub(crate) fn of_name(name: &str) -> Option<Cell> {
        let mut words = name.split('-');
        let suite = Suite::from_str(words.next()?, false).ok()?;
        let checker = Checker::from_str(words.next()?, false).ok()?;
        let whose = words.next()?;
        let whose = [Whose::C, Whose::Ours]
            .into_iter()
            .find(|known| known.name() == whose)?;
        words.next().is_none().then_some(Cell {
            suite,
            checker,
            whose,
        })
    }
}

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
            cell: *cell,
            scenarios,
            records: Vec::new(),
        }
    }
}

/// Boots the cell's guest in `directory` and prints its timeline, each line after `prefix`.
/// `plugins` is where ours are.
pub(crate) fn run(
    cell: &Cell,
    tree: &Tree,
    plugins: Option<&Path>,
    scenarios: Vec<String>,
    short: bool,
    directory: PathBuf,
    prefix: &str,
) -> Outcome {
    let mut records = Vec::new();
    let plugins = plugins.filter(|_| cell.whose == Whose::Ours);
    let job = Job {
        checker: cell.checker,
        own_plugins: plugins.is_some(),
        short,
        scenarios: scenarios.clone(),
    };
    let result = prepare(plugins, &directory).and_then(|mut files| {
        let mut hear = |record| {
            if let Some(line) = report::line(&record) {
                println!("{prefix}{line}");
            }
            if let Err(error) = files.keep(&record) {
                eprintln!("lab: {}: {error:#}", directory.display());
            }
            records.push(record);
        };
        let event = Event::Tree {
            packages: tree.packages.clone(),
        };
        hear(Record { at: 0, event });
        vm::boot(tree, &job, &directory, hear)
    });
    // The scenarios it did not play, or not to their end, are judged by the missing records.
    if let Err(error) = result {
        println!("{prefix}NOT RUN to the end: {error:#}");
    }
    Outcome {
        cell: *cell,
        scenarios,
        records,
    }
}

/// Makes the directory that the guest will see, and the files of its records.
fn prepare(plugins: Option<&Path>, directory: &Path) -> Result<Files> {
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    if let Some(ours) = plugins {
        let copies = directory.join("plugins");
        fs::create_dir_all(&copies)?;
        for library in libraries(ours)? {
            fs::copy(
                &library,
                copies.join(library.file_name().context("no file name")?),
            )?;
        }
    }
    Ok(Files {
        text: File::create(directory.join("timeline.txt"))?,
        json: File::create(directory.join(TIMELINE))?,
    })
}

/// The records next to the logs, for people and for programs; written as they come, so that an
/// interrupted run has its share.
struct Files {
    text: File,
    json: File,
}

impl Files {
    fn keep(&mut self, record: &Record) -> Result<()> {
        if let Some(line) = report::line(record) {
            writeln!(self.text, "{line}")?;
        }
        writeln!(self.json, "{}", serde_json::to_string(record)?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_found_by_its_name() {
        let cell = Cell {
            suite: Suite::Sid,
            checker: Checker::EmcClariion,
            whose: Whose::Ours,
        };
        assert_eq!(Cell::of_name(&cell.name()), Some(cell));
        for wrong in ["", "sid-tur", "sid-tur-c", "sid-tur-C-x", "x-tur-C"] {
            assert_eq!(Cell::of_name(wrong), None, "{wrong}");
        }
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later
//! One run: its directory, its guest, its records.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

use super::plugin_source::libraries;
use super::tree::Tree;
use super::vm;
use crate::model::{Event, Job, Outcome, Record};
use crate::report::timeline;

/// The records of a guest, one JSON object per line.
pub(crate) const RECORDS: &str = "timeline.json";

/// Boots a guest for the job, prints its timeline with `prefix` before each line, and returns the
/// outcome. Logs and records are in `directory`. Without `plugins` the suite's own are used.
pub(crate) fn run(
    job: Job,
    tree: &Tree,
    plugins: Option<&Path>,
    directory: &Path,
    prefix: &str,
) -> Outcome {
    let mut records = Vec::new();
    let result = prepare(plugins, directory).and_then(|mut files| {
        let mut on_record = |record| {
            if let Some(line) = timeline::line(&record) {
                println!("{prefix}{line}");
            }
            if let Err(error) = files.append(&record) {
                eprintln!("lab: {}: {error:#}", directory.display());
            }
            records.push(record);
        };
        let packages = tree.packages.clone();
        on_record(Record {
            at: 0,
            event: Event::Tree { packages },
        });
        vm::boot(tree, &job, directory, on_record)
    });
    // Scenarios that did not run or did not end are recognised by their missing records.
    if let Err(error) = result {
        println!("{prefix}NOT RUN to the end: {error:#}");
    }
    Outcome {
        config: job.config,
        scenarios: job.scenarios,
        records,
    }
}

/// Creates the directory that the guest will share, with the plugins and the files for records.
fn prepare(plugins: Option<&Path>, directory: &Path) -> Result<RecordFiles> {
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    if let Some(plugins) = plugins {
        let copies = directory.join("plugins");
        fs::create_dir_all(&copies)?;
        for library in libraries(plugins)? {
            let name = library.file_name().context("no file name")?;
            fs::copy(&library, copies.join(name))?;
        }
    }
    Ok(RecordFiles {
        text: File::create(directory.join("timeline.txt"))?,
        json: File::create(directory.join(RECORDS))?,
    })
}

/// The timeline as text and as JSON. Each record is written at once, so that an interrupted run
/// keeps what it had.
struct RecordFiles {
    text: File,
    json: File,
}

impl RecordFiles {
    fn append(&mut self, record: &Record) -> Result<()> {
        if let Some(line) = timeline::line(record) {
            writeln!(self.text, "{line}")?;
        }
        writeln!(self.json, "{}", serde_json::to_string(record)?)?;
        Ok(())
    }
}

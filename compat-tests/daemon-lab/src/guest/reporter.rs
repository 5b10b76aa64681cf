// SPDX-License-Identifier: LGPL-2.0-or-later
//! Sends records to the host over the serial line.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, Error, Result};

use super::wait::millis;
use crate::model::{Event, Record};

/// A handle to the serial line; clones share it.
#[derive(Clone)]
pub(super) struct Reporter {
    line: Arc<Mutex<File>>,
    start: Instant,
}

impl Reporter {
    pub(super) fn new(line: &str) -> Result<Reporter> {
        let file = OpenOptions::new()
            .write(true)
            .open(line)
            .context("the serial line")?;
        Ok(Reporter {
            line: Arc::new(Mutex::new(file)),
            start: Instant::now(),
        })
    }

    /// The instant from which the times of records count.
    pub(super) fn start(&self) -> Instant {
        self.start
    }

    /// Sends one record. Errors are ignored: the host notices missing records.
    pub(super) fn send(&self, event: Event) {
        let at = millis(self.start.elapsed());
        let Ok(mut text) = serde_json::to_string(&Record { at, event }) else {
            return;
        };
        text.push('\n');
        if let Ok(mut line) = self.line.lock() {
            let _ = line.write_all(text.as_bytes());
        }
    }

    /// Sends a remark for the timeline.
    pub(super) fn note(&self, text: impl Into<String>) {
        self.send(Event::Note { text: text.into() });
    }

    /// Sends why something cannot run.
    pub(super) fn not_run(&self, error: &Error) {
        let why = format!("{error:#}");
        self.send(Event::NotRun { why });
    }
}

//! The guest's voice: stamped records on the serial line the host reads.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::event::{Event, Record};

/// A handle that every thread of the guest's program may own.
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

    /// The instant all records count from.
    pub(super) fn start(&self) -> Instant {
        self.start
    }

    /// Sends one record. What cannot be sent is missed by the host, which waits for the last.
    pub(super) fn say(&self, event: Event) {
        let at = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Ok(mut text) = serde_json::to_string(&Record { at, event }) else {
            return;
        };
        text.push('\n');
        if let Ok(mut line) = self.line.lock() {
            let _ = line.write_all(text.as_bytes());
        }
    }

    /// A remark in the timeline.
    pub(super) fn note(&self, text: impl Into<String>) {
        self.say(Event::Note { text: text.into() });
    }
}

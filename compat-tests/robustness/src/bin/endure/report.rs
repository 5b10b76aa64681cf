// SPDX-License-Identifier: LGPL-2.0-or-later

//! What passed and what did not, and the longest calls.

#![forbid(unsafe_code)]

use crate::call_times::{CallTimes, Longest, millis};
use crate::options::Part;
use clap::ValueEnum;
use harness::summary::{self, Summary};
use harness::{Result, Trouble, say};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

/// Results so far.
pub(crate) struct Report {
    start: Instant,
    summary: Summary,
    /// By whose plugin.
    times: BTreeMap<String, CallTimes>,
    sequences: u64,
    /// Functions that were slow once and not when repeated, and the slowest of them.
    slow_once: u32,
    slowest_once: Option<(&'static str, Longest)>,
}

impl Default for Report {
    fn default() -> Report {
        Report {
            start: Instant::now(),
            summary: Summary::new(),
            times: BTreeMap::new(),
            sequences: 0,
            slow_once: 0,
            slowest_once: None,
        }
    }
}

impl Report {
    /// A part begins.
    pub(crate) fn part(&mut self, part: Part) {
        let name = part.to_possible_value();
        say!(
            "== {}",
            name.map_or(String::new(), |name| name.get_name().to_owned())
        );
    }

    /// Enters a test, and prints it with what it found.
    pub(crate) fn end(&mut self, name: &str, result: Result<String>) {
        let (word, text) = match &result {
            Ok(found) => ("ok", found.clone()),
            Err(Trouble::NotHere(why)) => ("not run", why.clone()),
            Err(trouble) => ("FAILED", trouble.to_string()),
        };
        let seconds = self.start.elapsed().as_secs();
        say!("{seconds:4} s  {word:<7} {name:<46} {text}");
        self.summary.enter(name, result);
    }

    /// Enters the calls of a test, by whose plugin.
    pub(crate) fn add_times(&mut self, group: &str, times: &CallTimes) {
        self.times.entry(group.to_owned()).or_default().add(times);
    }

    /// Enters random sequences that ran with our plugins.
    pub(crate) fn add_sequences(&mut self, count: u64) {
        self.sequences += count;
    }

    /// Enters a call that was slow once and not when repeated.
    pub(crate) fn add_slow_once(&mut self, function: &'static str, one: &Longest) {
        self.slow_once += 1;
        let slowest = self.slowest_once.as_ref();
        if slowest.is_none_or(|(_, slowest)| slowest.held < one.held) {
            self.slowest_once = Some((function, one.clone()));
        }
    }

    /// Prints the longest calls and the summary.
    pub(crate) fn finish(self) -> ExitCode {
        if !self.times.is_empty() {
            say!("");
            say!(
                "The longest calls: time without waiting for a processor, and by the clock, in ms"
            );
        }
        for (group, times) in &self.times {
            for (function, longest) in times.iter() {
                say!(
                    "{group:<14} {function:<10} {:>10} calls {:>12.3} {:>12.3}  {}",
                    longest.calls,
                    millis(longest.held),
                    millis(longest.wall),
                    longest.place
                );
            }
        }
        if self.sequences > 0 {
            say!("{} random sequences ran with our plugins", self.sequences);
        }
        if let Some((function, one)) = &self.slowest_once {
            say!(
                "slow once and not when repeated: {} times, at most {:.1} ms ({function}; {})",
                self.slow_once,
                millis(one.held),
                one.place
            );
        }
        say!("");
        summary::finish("endure", Ok(self.summary))
    }
}

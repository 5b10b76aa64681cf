//! What passed and what did not, and the longest calls.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

/// The longest call of one function.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Longest {
    pub(crate) wall: Duration,
    pub(crate) asleep: Duration,
    pub(crate) calls: u64,
}

/// The longest calls, by function.
#[derive(Clone, Debug, Default)]
pub(crate) struct Laps(BTreeMap<&'static str, Longest>);

impl Laps {
    /// Takes note of a call.
    pub(crate) fn note(&mut self, function: &'static str, wall: Duration, asleep: Duration) {
        let longest = self.0.entry(function).or_default();
        longest.wall = longest.wall.max(wall);
        longest.asleep = longest.asleep.max(asleep);
        longest.calls += 1;
    }

    /// The functions of which a call slept longer than `limit`.
    pub(crate) fn slower_than(&self, limit: Duration) -> BTreeSet<&'static str> {
        let slow = self.0.iter().filter(|(_, one)| one.asleep > limit);
        slow.map(|(function, _)| *function).collect()
    }

    /// How many calls there were, and which was the longest.
    pub(crate) fn summary(&self) -> String {
        let calls: u64 = self.0.values().map(|one| one.calls).sum();
        match self.0.iter().max_by_key(|(_, one)| one.asleep) {
            Some((function, one)) => format!(
                "{calls} calls, the longest asleep: {function}, {:.3} ms",
                millis(one.asleep)
            ),
            None => "no calls".to_owned(),
        }
    }

    fn add(&mut self, other: &Laps) {
        for (function, one) in &other.0 {
            let longest = self.0.entry(function).or_default();
            longest.wall = longest.wall.max(one.wall);
            longest.asleep = longest.asleep.max(one.asleep);
            longest.calls += one.calls;
        }
    }
}

/// Results so far.
#[derive(Default)]
pub(crate) struct Tally {
    passed: u32,
    failed: u32,
    skipped: Vec<String>,
    ours: Laps,
    c: Laps,
}

impl Tally {
    /// One test ended; what it found is printed.
    pub(crate) fn end(&mut self, name: &str, outcome: Result<String, String>) {
        match outcome {
            Ok(found) => {
                self.passed += 1;
                println!("{name:<44} ok      {found}");
            }
            Err(why) => {
                self.failed += 1;
                println!("{name:<44} FAILED  {why}");
            }
        }
    }

    /// One test could not run here.
    pub(crate) fn skip(&mut self, what: String) {
        println!("NOT RUN: {what}");
        self.skipped.push(what);
    }

    /// The calls of a test, by whose plugin.
    pub(crate) fn laps(&mut self, ours: bool, laps: &Laps) {
        if ours { &mut self.ours } else { &mut self.c }.add(laps);
    }

    /// Prints the end of it all.
    pub(crate) fn print(&self) -> ExitCode {
        for (whose, laps) in [("ours", &self.ours), ("C's", &self.c)] {
            if laps.0.is_empty() {
                continue;
            }
            println!();
            println!("longest calls, {whose}: asleep, and by the clock");
            for (function, longest) in &laps.0 {
                println!(
                    "  {function:<10} {:>9.3} ms {:>9.3} ms   of {} calls",
                    millis(longest.asleep),
                    millis(longest.wall),
                    longest.calls
                );
            }
        }
        println!();
        if !self.skipped.is_empty() {
            println!("NOT RUN");
            for what in &self.skipped {
                println!("  {what}");
            }
        }
        let (passed, failed) = (self.passed, self.failed);
        println!(
            "{passed} passed, {failed} failed, {} skipped",
            self.skipped.len()
        );
        if failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// As a number to print.
pub(crate) fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! What passed, what failed and what did not run: the end of every suite's output, and its exit code.
#![forbid(unsafe_code)]

use crate::{Result, Trouble, output, say};
use std::process::ExitCode;

/// The results of a suite so far.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    passed: usize,
    failed: usize,
    failures: Vec<String>,
    not_run: Vec<String>,
}

impl Summary {
    /// Nothing yet.
    pub fn new() -> Summary {
        Summary::default()
    }

    /// `count` tests have passed.
    pub fn passed(&mut self, count: usize) {
        self.passed += count;
    }

    /// A test has failed.
    pub fn failed(&mut self, name: impl Into<String>) {
        self.failed += 1;
        self.failures.push(name.into());
    }

    /// A test has not run.
    pub fn not_run(&mut self, name: &str, why: &str) {
        self.not_run.push(format!("{name}: {why}"));
    }

    /// Enters a test by its result: [`Trouble::NotHere`] is not run, any other error a failure.
    /// Returns the success, if it is one.
    pub fn enter<T>(&mut self, name: &str, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => {
                self.passed += 1;
                return Some(value);
            }
            Err(Trouble::NotHere(why)) => self.not_run(name, &why),
            Err(trouble) => self.failed(format!("{name}: {trouble}")),
        }
        None
    }

    /// Adds the results of another summary.
    pub fn add(&mut self, other: Summary) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.not_run.extend(other.not_run);
    }

    /// Whether nothing has failed.
    pub fn is_good(&self) -> bool {
        self.failed == 0
    }

    /// Whether every test has run.
    pub fn is_complete(&self) -> bool {
        self.not_run.is_empty()
    }

    /// Prints what has not run and what has failed, then `N passed, N failed, N not run`.
    pub fn print(&self) {
        for (title, list) in [("NOT RUN", &self.not_run), ("FAILED", &self.failures)] {
            if !list.is_empty() {
                say!("{title} ({}):", list.len());
                for line in list {
                    say!("  {line}");
                }
            }
        }
        say!(
            "{} passed, {} failed, {} not run",
            self.passed,
            self.failed,
            self.not_run.len()
        );
    }
}

/// The end of a suite's `main`: prints the summary. The exit code is 0 when nothing failed, 1 when
/// something did or the output was closed early, 2 when the suite itself could not work.
pub fn finish(suite: &str, result: Result<Summary>) -> ExitCode {
    match result {
        Ok(summary) => {
            summary.print();
            if summary.is_good() && !output::is_closed() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(trouble) => {
            eprintln!("{suite}: {trouble}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted_by_kind() {
        let mut summary = Summary::new();
        assert_eq!(summary.enter("a", Ok(7)), Some(7));
        assert_eq!(
            summary.enter::<()>("b", Err(Trouble::NotHere("x".into()))),
            None
        );
        assert!(summary.is_good() && !summary.is_complete());
        let mut other = Summary::new();
        other.enter::<()>("c", Err(Trouble::Broken("y".into())));
        other.passed(2);
        summary.add(other);
        assert!(!summary.is_good());
        assert_eq!((summary.passed, summary.failed), (3, 1));
        assert_eq!(summary.not_run, ["b: x"]);
        assert_eq!(summary.failures, ["c: y"]);
    }
}

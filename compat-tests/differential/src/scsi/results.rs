// SPDX-License-Identifier: LGPL-2.0-or-later

//! What the comparison has come to so far.

#![forbid(unsafe_code)]

use harness::summary::Summary;
use std::collections::BTreeSet;

/// The ids of rows of the ledger.
pub(crate) type Rows = BTreeSet<&'static str>;

/// Results of a part of the comparison.
#[derive(Default)]
pub(crate) struct Results {
    /// What passed and what failed.
    pub(crate) summary: Summary,
    /// How many cases were compared.
    pub(crate) cases: usize,
    /// How many of them failed.
    pub(crate) mismatches: usize,
    /// How many replies upstream's plugin was given.
    pub(crate) replies: u64,
    /// How many log records were compared, of both sides.
    pub(crate) lines: u64,
    /// The rows of the ledger that showed.
    pub(crate) rows: Rows,
}

/// What a case gave beyond agreement.
#[derive(Default)]
pub(crate) struct Agreed {
    /// How many replies upstream's plugin was given.
    pub(crate) replies: u64,
    /// How many log records were compared.
    pub(crate) lines: u64,
    /// The rows of the ledger that showed.
    pub(crate) rows: Rows,
}

impl Results {
    /// Enters a case.
    pub(crate) fn enter(&mut self, name: &str, result: Result<Agreed, String>) {
        self.cases += 1;
        match result {
            Ok(agreed) => {
                self.summary.passed(1);
                self.count(agreed);
            }
            Err(why) => self.fail(name, &why),
        }
    }

    /// Adds what an agreement has come to, without counting it as a case.
    pub(crate) fn count(&mut self, agreed: Agreed) {
        self.replies += agreed.replies;
        self.lines += agreed.lines;
        self.rows.extend(agreed.rows);
    }

    /// Enters a failure.
    pub(crate) fn fail(&mut self, name: &str, why: &str) {
        self.mismatches += 1;
        self.summary.failed(format!("{name}\n{why}\n"));
    }

    /// Adds other results.
    pub(crate) fn add(&mut self, other: Results) {
        self.summary.add(other.summary);
        self.cases += other.cases;
        self.mismatches += other.mismatches;
        self.replies += other.replies;
        self.lines += other.lines;
        self.rows.extend(other.rows);
    }
}

/// The result of comparing two values.
pub(crate) fn expect<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: T,
    expected: T,
) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: {expected:?} expected, {found:?} found"))
    }
}

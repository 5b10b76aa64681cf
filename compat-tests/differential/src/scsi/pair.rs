// SPDX-License-Identifier: LGPL-2.0-or-later

//! Upstream's plugin and this project's, side by side.

#![forbid(unsafe_code)]

use crate::scsi::differences::{Context, compare};
use crate::scsi::implementation::{Implementation, Mode};
use crate::scsi::results::Agreed;
use crate::scsi::run::{Record, run};
use crate::scsi::stderr::Stderr;
use cases::{Checker, Input};
use harness::abi::Abi;
use harness::scsi::script::Scripted;
use harness::side::Side;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// The same checker twice, and a device for either.
pub(crate) struct Pair {
    pub(crate) checker: Checker,
    pub(crate) abi: Abi,
    pub(crate) upstream: Implementation,
    pub(crate) ours: Implementation,
    upstream_device: Arc<Scripted>,
    our_device: Arc<Scripted>,
    /// The rows of the ledger that must show in a host of this ABI.
    ledger: BTreeSet<String>,
}

impl Pair {
    /// Loads both plugins.
    ///
    /// # Errors
    /// As [`Implementation::load`].
    pub(crate) fn load(
        checker: Checker,
        abi: Abi,
        upstream: &Path,
        ours: &Path,
        ledger: &BTreeSet<String>,
    ) -> Result<Pair, String> {
        let device = || Scripted::new().map_err(|trouble| trouble.to_string());
        Ok(Pair {
            checker,
            abi,
            upstream: Implementation::load(checker, abi, Side::Upstream, upstream)?,
            ours: Implementation::load(checker, abi, Side::Ours, ours)?,
            upstream_device: device()?,
            our_device: device()?,
            ledger: ledger.clone(),
        })
    }

    /// One side's plugin.
    pub(crate) fn side(&self, side: Side) -> &Implementation {
        match side {
            Side::Upstream => &self.upstream,
            Side::Ours => &self.ours,
        }
    }

    /// Whether a row of the ledger must show in a host of this ABI.
    pub(crate) fn differs_here(&self, row: &str) -> bool {
        self.ledger.contains(row)
    }

    /// Compares the tables of messages: ours is upstream's, and then what a check that runs needs.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn compare_messages(&self) -> Result<Agreed, String> {
        const RUN: [&str; 3] = [" still running", " timed out", " failed to initialize"];
        const TRANSITION: &str = " reports path is transitioning";
        let messages = self.upstream.plugin.messages();
        let upstream: Vec<&str> = messages.iter().map(String::as_str).collect();
        let (row, expected) = match (self.checker, self.abi) {
            (Checker::Tur, Abi::V0_7_9) => (Some("T8"), [upstream, vec![TRANSITION]].concat()),
            (Checker::Tur, Abi::V0_11 | Abi::V0_14) => (None, upstream),
            // In 0.15 the texts about runs belong to the host, so upstream's own table begins after them.
            (Checker::Tur, Abi::V0_15) => (Some("A3"), [RUN.to_vec(), upstream].concat()),
            (_, Abi::V0_7_9 | Abi::V0_11 | Abi::V0_14) => {
                (Some("A1"), [upstream, RUN.to_vec()].concat())
            }
            (_, Abi::V0_15) => (Some("A3"), [upstream, RUN.to_vec()].concat()),
        };
        let ours = self.ours.plugin.messages();
        if ours == expected && ours == self.checker.messages() {
            Ok(Agreed {
                rows: row.into_iter().collect(),
                ..Agreed::default()
            })
        } else {
            Err(format!("{expected:?} expected, {ours:?} found"))
        }
    }

    /// Runs a case with one side's plugin.
    pub(crate) fn run_one(&self, side: Side, mode: Mode, input: &Input) -> Record {
        let (implementation, device) = self.on_device(side);
        run(implementation, device, mode, input, None).0
    }

    fn on_device(&self, side: Side) -> (&Implementation, &Scripted) {
        match side {
            Side::Upstream => (&self.upstream, &self.upstream_device),
            Side::Ours => (&self.ours, &self.our_device),
        }
    }

    /// Runs a case with both plugins and compares. Returns this project's record.
    ///
    /// # Errors
    /// What differs beyond the ledger, and what is wrong with the log of either side.
    pub(crate) fn run_both(
        &self,
        mode: Mode,
        input: &Input,
        stderr: &mut Option<Stderr>,
    ) -> Result<(Record, Agreed), String> {
        let [upstream, ours] = [Side::Upstream, Side::Ours].map(|side| {
            let (implementation, device) = self.on_device(side);
            let (record, log) = run(implementation, device, mode, input, stderr.as_mut());
            (side, record, log)
        });
        let context = Context {
            checker: self.checker,
            abi: self.abi,
            mode,
            input,
        };
        let rows = compare(context, &upstream.1, &ours.1)?;
        let mut agreed = Agreed {
            rows,
            ..Agreed::default()
        };
        for (side, record, log) in [&upstream, &ours] {
            if !log.wrong.is_empty() {
                return Err(format!("{side}: {}", log.wrong.join("\n")));
            }
            if *side == Side::Upstream {
                let checks = record.checks.iter().map(|check| check.sent.len());
                agreed.replies = (record.setup.len() + checks.sum::<usize>()) as u64;
            }
            agreed.rows.extend(&log.rows);
            agreed.lines += log.lines;
        }
        Ok((ours.1, agreed))
    }

    /// Keeps standard error where the checker writes to it.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn stderr(&self) -> Result<Option<Stderr>, String> {
        (self.checker == Checker::CcissTur)
            .then(Stderr::keep)
            .transpose()
            .map_err(|error| error.to_string())
    }
}

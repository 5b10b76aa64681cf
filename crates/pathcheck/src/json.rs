// SPDX-License-Identifier: LGPL-2.0-or-later

//! The results as one JSON document.

use crate::choice::Choice;
use crate::outcome::Outcome;
use crate::path::Path;
use crate::progress::Progress;
use crate::reason::Reason;
use crate::supervisor::Display;
use serde::Serialize;
use std::io::{self, BufWriter, Write};

/// The version of the document's form. Fields may be added without changing it.
const SCHEMA: u32 = 1;

/// Prints the document when all is known.
#[derive(Debug)]
pub(crate) struct Document;

impl Display for Document {
    fn update(&mut self, paths: &[Path], progress: &mut Progress) -> io::Result<()> {
        progress.show(paths);
        Ok(())
    }

    fn finish(&mut self, paths: &[Path]) -> io::Result<()> {
        // Standard output is written line by line otherwise, and a path has some twenty lines.
        let mut stdout = BufWriter::new(io::stdout().lock());
        let results = Results {
            schema: SCHEMA,
            paths: paths.iter().map(Entry::of).collect(),
        };
        serde_json::to_writer_pretty(&mut stdout, &results)?;
        writeln!(stdout)?;
        stdout.flush()
    }
}

#[derive(Serialize)]
struct Results<'a> {
    schema: u32,
    paths: Vec<Entry<'a>>,
}

/// One path. Every field is always there; what is not known is null.
#[derive(Serialize)]
struct Entry<'a> {
    device: String,
    kind: Option<&'a str>,
    partition: Option<bool>,
    size_bytes: Option<u64>,
    vendor: Option<&'a str>,
    product: Option<&'a str>,
    sysfs_state: Option<&'a str>,
    checker: Option<String>,
    checker_reason: Option<String>,
    timeout_s: u32,
    /// The path state's name, or "skipped" or "error".
    state: &'static str,
    message: &'a str,
    message_id: Option<i16>,
    latency_us: Option<u64>,
    reason: Option<&'a Reason>,
}

impl Entry<'_> {
    fn of(path: &Path) -> Entry<'_> {
        let info = path.info.as_ref();
        let (state, message) = match &path.outcome {
            Some(Outcome::Checked(finding)) => (finding.state().name(), finding.message.as_str()),
            Some(Outcome::Skipped(why)) => ("skipped", why.as_str()),
            Some(Outcome::Failed(why)) => ("error", why.as_str()),
            None => ("error", ""),
        };
        let finding = match &path.outcome {
            Some(Outcome::Checked(finding)) => Some(finding),
            _ => None,
        };
        let choice = path.choice();
        let (checker, checker_reason) = choice
            .map(|Choice { checker, reason }| (checker, reason))
            .unzip();
        Entry {
            device: path.job.device.to_string_lossy().into_owned(),
            kind: info.map(|info| info.kind.as_str()),
            partition: info.map(|info| info.partition),
            size_bytes: info.map(|info| info.size),
            vendor: info.and_then(|info| info.vendor.as_deref()),
            product: info.and_then(|info| info.product.as_deref()),
            sysfs_state: info.and_then(|info| info.sysfs_state.as_deref()),
            checker,
            checker_reason,
            timeout_s: path.timeout(),
            state,
            message,
            message_id: finding.and_then(|finding| finding.message_id),
            latency_us: finding.and_then(|finding| finding.latency_us),
            reason: finding.and_then(|finding| finding.reason.as_ref()),
        }
    }
}

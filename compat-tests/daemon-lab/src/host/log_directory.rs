// SPDX-License-Identifier: LGPL-2.0-or-later
//! The directories for logs: one per call of the program, named after its start.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

/// How many directories of earlier calls are kept.
const KEPT: usize = 10;

/// Which earlier directories are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retention {
    All,
    Newest,
}

/// Creates the directory of this call and removes those that are not kept.
pub(crate) fn create(cache: &Path, retention: Retention) -> Result<PathBuf> {
    let runs = cache.join("runs");
    fs::create_dir_all(&runs)?;
    if retention == Retention::Newest {
        prune(&runs)?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.unwrap_or_default().as_secs();
    let run = runs.join(format!("{seconds}-{}", std::process::id()));
    fs::create_dir(&run).with_context(|| run.display().to_string())?;
    Ok(run)
}

/// Removes all but the newest. Names begin with the seconds since 1970 (ten digits until 2286), so
/// their order is that of time.
fn prune(runs: &Path) -> Result<()> {
    let mut earlier = Vec::new();
    for entry in fs::read_dir(runs)? {
        earlier.push(entry?.path());
    }
    earlier.sort();
    let surplus = earlier.len().saturating_sub(KEPT);
    for old in earlier.into_iter().take(surplus) {
        fs::remove_dir_all(&old).with_context(|| old.display().to_string())?;
    }
    Ok(())
}

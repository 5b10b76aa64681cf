//! Where a run's logs go: one directory per call of the program, named after its start.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

/// How many earlier directories remain.
const KEPT: usize = 10;

/// Makes the directory of this call, and removes the oldest ones unless all are to be kept.
pub(crate) fn create(cache: &Path, keep: bool) -> Result<PathBuf> {
    let runs = cache.join("runs");
    fs::create_dir_all(&runs)?;
    if !keep {
        prune(&runs)?;
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let run = runs.join(format!("{now}-{}", std::process::id()));
    fs::create_dir(&run).with_context(|| run.display().to_string())?;
    Ok(run)
}

/// Names begin with the seconds since 1970, in as many digits for the next two centuries: their
/// order is that of time.
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

//! What one guest is asked to do, and the directory both halves share.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Where the guest sees the directory of its run.
pub(crate) const SHARED: &str = "/lab";

/// A checker multipathd can be told to use.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum Checker {
    Tur,
    Directio,
    Readsector0,
    Rdac,
    EmcClariion,
    HpSw,
    CcissTur,
}

impl Checker {
    /// The name in multipath.conf and in `libcheck<name>.so`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Checker::Tur => "tur",
            Checker::Directio => "directio",
            Checker::Readsector0 => "readsector0",
            Checker::Rdac => "rdac",
            Checker::EmcClariion => "emc_clariion",
            Checker::HpSw => "hp_sw",
            Checker::CcissTur => "cciss_tur",
        }
    }
}

/// The work of one guest, as `job.json` in the shared directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) checker: Checker,
    /// True if `plugins/` in the shared directory holds the plugins to use.
    pub(crate) own_plugins: bool,
    /// Fewer repetitions in the scenarios that repeat.
    pub(crate) short: bool,
    pub(crate) scenarios: Vec<String>,
}

impl Job {
    const FILE: &str = "job.json";

    /// Writes the job into the directory the guest will see.
    pub(crate) fn store(&self, directory: &Path) -> Result<()> {
        let file = directory.join(Self::FILE);
        fs::write(&file, serde_json::to_vec(self)?).with_context(|| file.display().to_string())
    }

    /// Reads the job from the directory of a run.
    pub(crate) fn load(directory: &Path) -> Result<Job> {
        let file = directory.join(Self::FILE);
        let text = fs::read(&file).with_context(|| file.display().to_string())?;
        Ok(serde_json::from_slice(&text)?)
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later
//! The job of one guest, handed over as a file in the shared directory.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::run_config::RunConfig;
use super::scenario::Scenario;

/// Where the guest mounts the directory that it shares with the host.
pub(crate) const SHARED: &str = "/lab";

/// What a guest has to run, stored as `job.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    /// With our plugins, they are in `plugins/` of the shared directory.
    pub(crate) config: RunConfig,
    pub(crate) effort: Effort,
    pub(crate) scenarios: Vec<Scenario>,
}

/// How often scenarios repeat, and how long they wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Effort {
    Full,
    Short,
}

impl Effort {
    /// One of two values.
    pub(crate) fn choose<T>(self, full: T, short: T) -> T {
        match self {
            Effort::Full => full,
            Effort::Short => short,
        }
    }
}

impl Job {
    const FILE: &str = "job.json";

    /// Writes the job into a directory.
    pub(crate) fn store(&self, directory: &Path) -> Result<()> {
        let file = directory.join(Self::FILE);
        fs::write(&file, serde_json::to_vec(self)?).with_context(|| file.display().to_string())
    }

    /// Reads the job from a directory.
    pub(crate) fn load(directory: &Path) -> Result<Job> {
        let file = directory.join(Self::FILE);
        let text = fs::read(&file).with_context(|| file.display().to_string())?;
        Ok(serde_json::from_slice(&text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::checker::Checker;
    use super::super::run_config::Plugins;
    use super::super::suite::Suite;
    use super::*;

    #[test]
    fn a_job_is_read_as_it_was_written() {
        let job = Job {
            config: RunConfig {
                suite: Suite::Sid,
                checker: Checker::EmcClariion,
                plugins: Plugins::Ours,
            },
            effort: Effort::Short,
            scenarios: vec![Scenario::QuiesceShutdown],
        };
        let text = serde_json::to_string(&job).unwrap();
        assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), job);
        assert_eq!(job.config.to_string(), "sid-emc_clariion-ours");
    }
}

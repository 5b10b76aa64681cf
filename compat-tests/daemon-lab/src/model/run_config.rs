// SPDX-License-Identifier: LGPL-2.0-or-later
//! The configuration of one guest.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::checker::Checker;
use super::suite::Suite;

/// What a guest boots, which checker its daemon uses, and whose plugins are loaded. Displayed as
/// in log lines and directory names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct RunConfig {
    pub(crate) suite: Suite,
    pub(crate) checker: Checker,
    pub(crate) plugins: Plugins,
}

/// The origin of the plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Plugins {
    /// Those of the suite's multipath-tools package.
    Upstream,
    /// Those of this project.
    Ours,
}

impl RunConfig {
    /// The same suite and checker with upstream's plugins.
    pub(crate) fn with_upstream_plugins(self) -> RunConfig {
        RunConfig {
            plugins: Plugins::Upstream,
            ..self
        }
    }
}

impl fmt::Display for Plugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Plugins::Upstream => "upstream",
            Plugins::Ours => "ours",
        })
    }
}

impl fmt::Display for RunConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RunConfig {
            suite,
            checker,
            plugins,
        } = self;
        f.pad(&format!("{suite}-{checker}-{plugins}"))
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The two implementations that are compared.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};
use std::fmt;

/// Whose plugin a test host has loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The plugin of a multipath-tools release.
    Upstream,
    /// This project's plugin.
    Ours,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Side::Upstream => "upstream",
            Side::Ours => "ours",
        })
    }
}

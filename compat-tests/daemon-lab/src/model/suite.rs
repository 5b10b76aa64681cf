// SPDX-License-Identifier: LGPL-2.0-or-later
//! Debian suites and the packages in them.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::names::display;

/// The plugin directories of the suites' multipath-tools. The first that exists is in use.
pub(crate) const PLUGIN_DIRECTORIES: [&str; 2] = ["/usr/lib/multipath", "/usr/lib64/multipath"];

/// A Debian suite, and with it a release of multipath-tools.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Suite {
    /// multipath-tools 0.8.5, glibc 2.31
    Bullseye,
    /// multipath-tools 0.9.4
    Bookworm,
    /// multipath-tools 0.11.1
    Trixie,
    /// multipath-tools 0.15 or whatever is newest
    Sid,
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self, f)
    }
}

/// An installed Debian package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// Names and versions, separated by commas.
pub(crate) fn package_list(packages: &[Package]) -> String {
    let packages: Vec<String> = packages.iter().map(Package::to_string).collect();
    packages.join(", ")
}

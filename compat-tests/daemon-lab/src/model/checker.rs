// SPDX-License-Identifier: LGPL-2.0-or-later
//! The path checkers that multipathd can be configured with.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::names::display;

/// A path checker. Displayed as in multipath.conf and in `libcheck<name>.so`.
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
    /// True if the checker can tell the state of a disk that has no vendor-specific commands, such
    /// as the disks of the lab.
    pub(crate) fn supports_generic_disk(self) -> bool {
        match self {
            Checker::Tur | Checker::Directio | Checker::Readsector0 | Checker::HpSw => true,
            Checker::Rdac | Checker::EmcClariion | Checker::CcissTur => false,
        }
    }
}

impl fmt::Display for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self, f)
    }
}

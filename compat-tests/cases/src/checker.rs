// SPDX-License-Identifier: LGPL-2.0-or-later

//! The checkers that send SCSI commands.

#![forbid(unsafe_code)]

/// A checker that sends SCSI commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checker {
    /// tur
    Tur,
    /// readsector0
    Readsector0,
    /// rdac
    Rdac,
    /// emc_clariion
    EmcClariion,
    /// hp_sw
    HpSw,
    /// cciss_tur
    CcissTur,
}

impl Checker {
    /// Every one.
    pub const ALL: [Checker; 6] = [
        Checker::Tur,
        Checker::Readsector0,
        Checker::Rdac,
        Checker::EmcClariion,
        Checker::HpSw,
        Checker::CcissTur,
    ];

    /// The name in configuration files and in `libcheck<name>.so`.
    pub fn name(self) -> &'static str {
        match self {
            Checker::Tur => "tur",
            Checker::Readsector0 => "readsector0",
            Checker::Rdac => "rdac",
            Checker::EmcClariion => "emc_clariion",
            Checker::HpSw => "hp_sw",
            Checker::CcissTur => "cciss_tur",
        }
    }
}

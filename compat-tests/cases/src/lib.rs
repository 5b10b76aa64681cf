// SPDX-License-Identifier: LGPL-2.0-or-later

//! The decision tables of the SCSI checkers as data: which replies of a device give which verdict.
//!
//! Each table exists once. The unit tests of a checker run it over a scripted transport, the
//! differential suite runs it against this project's plugin and upstream's in one process.

#![forbid(unsafe_code)]
#![allow(
    clippy::indexing_slicing,
    reason = "a wrong offset in a table has to be seen"
)]

mod cciss_tur;
mod checker;
mod emc_clariion;
mod hp_sw;
mod random;
mod rdac;
mod readsector0;
mod reply;
mod table;
mod tur;
mod verdict;

pub use checker::Checker;
pub use emc_clariion::active_path;
pub use random::any_input;
pub use reply::{
    Answer, Pace, Reply, SENSE_LENGTH, descriptor_sense, errno, good, host, sense, statuses, times,
};
pub use table::{Case, Check, Command, Direction, Expected, Hosts, Input, Map};
pub use verdict::{State, Verdict};

impl Checker {
    /// The checker's own messages, from id 100 on.
    pub fn messages(self) -> &'static [&'static str] {
        match self {
            Checker::Tur => tur::MESSAGES,
            Checker::Rdac => rdac::MESSAGES,
            Checker::EmcClariion => emc_clariion::MESSAGES,
            Checker::Readsector0 | Checker::HpSw | Checker::CcissTur => {
                &[" still running", " timed out", " failed to initialize"]
            }
        }
    }

    /// The decision table.
    pub fn cases(self) -> Vec<Case> {
        match self {
            Checker::Tur => tur::cases(),
            Checker::Readsector0 => readsector0::cases(),
            Checker::Rdac => rdac::cases(),
            Checker::EmcClariion => emc_clariion::cases(),
            Checker::HpSw => hp_sw::cases(),
            Checker::CcissTur => cciss_tur::cases(),
        }
    }
}

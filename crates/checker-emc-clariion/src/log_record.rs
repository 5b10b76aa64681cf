// SPDX-License-Identifier: LGPL-2.0-or-later

//! What emc_clariion writes to the log.

#![forbid(unsafe_code)]

use crate::Wwn;
use checkers_core::LogRecord;
use sg_io::{AdditionalSense, ScsiStatus, SenseCode, SenseKey};

/// A log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmcLogRecord {
    /// INQUIRY ended with this sense key.
    FailedWithSense(SenseKey),
    /// INQUIRY ended with this status and nothing else to go by.
    FailedWithoutSense(ScsiStatus),
    /// The owner refuses to read: an inactive snapshot.
    ActiveToSnapshot(Wwn),
    /// The owner cannot read.
    ReadError(Wwn, SenseCode),
    /// An active path has found an inactive snapshot.
    PassiveToSnapshot(Wwn),
}

impl LogRecord for EmcLogRecord {
    fn emit(&self) {
        match self {
            EmcLogRecord::FailedWithSense(SenseKey(key)) => {
                log::warn!("emc_clariion_checker: INQUIRY failed with sense key {key:02x}");
            }
            EmcLogRecord::FailedWithoutSense(ScsiStatus(status)) => {
                log::warn!(
                    "emc_clariion_checker: INQUIRY failed without sense, status {status:02x}"
                );
            }
            EmcLogRecord::ActiveToSnapshot(wwn) => {
                log::debug!("emc_clariion_checker: Active path to inactive snapshot WWN {wwn}.");
            }
            EmcLogRecord::ReadError(wwn, code) => {
                let AdditionalSense {
                    code: asc,
                    qualifier,
                } = code.additional;
                log::debug!(
                    "emc_clariion_checker: Read error for WWN {wwn}.  Sense data are \
                     {:#x}/{asc:#x}/{qualifier:#x}.",
                    code.key.0
                );
            }
            EmcLogRecord::PassiveToSnapshot(wwn) => {
                log::debug!("emc_clariion_checker: Passive path to inactive snapshot WWN {wwn}.");
            }
        }
    }
}

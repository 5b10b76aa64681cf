// SPDX-License-Identifier: LGPL-2.0-or-later

//! What rdac writes to the log.

#![forbid(unsafe_code)]

use checkers_core::LogRecord;
use sg_io::SenseKey;

/// A log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RdacLogRecord {
    /// The TAS bit could not be set.
    TasNotSet,
    /// INQUIRY ended with this sense key.
    InquiryFailed(SenseKey),
}

impl LogRecord for RdacLogRecord {
    fn emit(&self) {
        match self {
            RdacLogRecord::TasNotSet => log::debug!("rdac checker failed to set TAS bit"),
            RdacLogRecord::InquiryFailed(SenseKey(key)) => {
                log::warn!("rdac checker: INQUIRY failed with sense key {key:02x}");
            }
        }
    }
}

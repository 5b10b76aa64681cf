//! What rdac has to tell the log.

use checkers_core::Note;
use sg_io::SenseKey;

/// A log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RdacNote {
    /// The TAS bit could not be set.
    TasNotSet,
    /// INQUIRY ended with this sense key.
    InquiryFailed(SenseKey),
}

impl Note for RdacNote {
    fn emit(&self) {
        match self {
            RdacNote::TasNotSet => log::debug!("rdac checker failed to set TAS bit"),
            RdacNote::InquiryFailed(SenseKey(key)) => {
                log::warn!("rdac checker: INQUIRY failed with sense key {key:02x}");
            }
        }
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The path checker `rdac`, for arrays of the LSI and Engenio line (NetApp E-Series, IBM DS4000,
//! Dell MD3000, …): their vital product data page C9h says which controller owns the unit.

#![forbid(unsafe_code)]

mod log_record;
mod page;
mod task_aborted;
#[cfg(test)]
mod tests;

pub use log_record::RdacLogRecord;

use checkers_core::{CheckContext, Messages, PathState, ScsiProbe, Verdict};
use page::AccessPage;
use sg_io::{Cancelled, Data, Device, Errno, Reply, SenseKey, Transport};
use std::ffi::CStr;

/// The checker.
#[derive(Debug)]
pub enum Rdac {}

/// INQUIRY brought nothing usable.
pub const INQUIRY_FAILED: Verdict = down(FAILED_INQUIRY);

/// Down, with one of the checker's own messages.
const fn down(text: &CStr) -> Verdict {
    Verdict::new(PathState::Down, Rdac::MESSAGES.id(text))
}

/// How often INQUIRY is sent while the transport may recover.
const ATTEMPTS: u32 = 5;

const FAILED_INQUIRY: &CStr = c" reports path is down: inquiry failed";

impl ScsiProbe for Rdac {
    const NAME: &'static str = "rdac";
    const MESSAGES: Messages = Messages::before_common(&[
        page::NOT_CONNECTED,
        page::STARTING,
        page::NOT_RESPONSIVE,
        page::HELD_IN_RESET,
        page::DOWNLOADING,
        page::QUIESCED,
        page::SERVICE_MODE,
        page::UNAVAILABLE,
        FAILED_INQUIRY,
    ]);
    const HAS_SETUP: bool = true;

    type Memory = ();
    type LogRecord = RdacLogRecord;

    /// Sets the TAS bit of the control mode page, so that the array reports commands which another initiator
    /// aborts instead of letting them time out.
    fn setup(device: &mut Device<'_, impl Transport>) -> Result<Option<RdacLogRecord>, Cancelled> {
        let enabled = task_aborted::enable(device)?;
        Ok((!enabled).then_some(RdacLogRecord::TasNotSet))
    }

    fn check(
        device: &mut Device<'_, impl Transport>,
        context: &mut CheckContext<Rdac>,
    ) -> Result<Verdict, Cancelled> {
        // Not cleared between attempts, as upstream: a shorter reply keeps what an earlier one left.
        let mut page = AccessPage::new();
        let mut attempt = 1;
        let reply = loop {
            let reply = match device.send(AccessPage::INQUIRY, Data::In(page.buffer()))? {
                Ok(reply) => reply,
                Err(Errno(libc::ENOTTY)) => return Ok(Verdict::UNSUPPORTED),
                Err(_) => return Ok(INQUIRY_FAILED),
            };
            if !reply.may_recover() || attempt == ATTEMPTS {
                break reply;
            }
            attempt += 1;
        };
        Ok(refusal(&reply, context).unwrap_or_else(|| page.verdict()))
    }
}

/// The verdict on a reply to INQUIRY that decides whatever the page holds.
fn refusal(reply: &Reply, context: &mut CheckContext<Rdac>) -> Option<Verdict> {
    let status = reply.status.masked();
    if reply.is_clear(status) {
        return None;
    }
    match reply.reported_key(status) {
        Some(SenseKey::RECOVERED_ERROR) => None,
        Some(SenseKey::ILLEGAL_REQUEST) => Some(Verdict::UNSUPPORTED),
        Some(key) => {
            context.log(RdacLogRecord::InquiryFailed(key));
            Some(INQUIRY_FAILED)
        }
        None => Some(INQUIRY_FAILED),
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The path checker `hp_sw`, for HP StorageWorks arrays whose passive controller accepts INQUIRY but
//! refuses everything else.

#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use checkers_core::{CheckContext, Messages, NoLogRecord, ScsiProbe, Verdict};
use sg_io::{Cancelled, Cdb, Data, Device, Errno, Reply, SenseKey, Transport};

/// The checker.
#[derive(Debug)]
pub enum HpSw {}

/// The vital product data page that is asked for, the unit serial number; its contents are not used.
const SERIAL_NUMBER: u8 = 0x80;
const LENGTH: u8 = 255;

impl ScsiProbe for HpSw {
    const NAME: &'static str = "hp_sw";
    const MESSAGES: Messages = Messages::COMMON;

    type Memory = ();
    type LogRecord = NoLogRecord;

    /// INQUIRY shows whether the unit is there, TEST UNIT READY whether this controller owns it. Each is
    /// sent once.
    fn check(
        device: &mut Device<'_, impl Transport>,
        _: &mut CheckContext<HpSw>,
    ) -> Result<Verdict, Cancelled> {
        let mut page = [0; LENGTH as usize];
        let inquiry = Cdb::inquiry_page(SERIAL_NUMBER, LENGTH);
        let refusal = match device.send(inquiry, Data::In(&mut page))? {
            Ok(reply) => refusal(&reply),
            Err(Errno(libc::ENOTTY)) => Some(Verdict::UNSUPPORTED),
            Err(_) => Some(Verdict::DOWN),
        };
        if let Some(verdict) = refusal {
            return Ok(verdict);
        }
        match device.send(Cdb::TEST_UNIT_READY, Data::None)? {
            Ok(reply) if !reply.needs_check() => Ok(Verdict::UP),
            _ => Ok(Verdict::GHOST),
        }
    }
}

/// The verdict on a reply to INQUIRY that rules the unit out.
fn refusal(reply: &Reply) -> Option<Verdict> {
    let status = reply.status.masked();
    if reply.is_clear(status) {
        return None;
    }
    match reply.reported_key(status) {
        Some(SenseKey::RECOVERED_ERROR) => None,
        Some(SenseKey::ILLEGAL_REQUEST) => Some(Verdict::UNSUPPORTED),
        _ => Some(Verdict::DOWN),
    }
}

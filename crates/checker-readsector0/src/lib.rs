// SPDX-License-Identifier: LGPL-2.0-or-later

//! The path checker `readsector0`: READ(10) of the first block. It works on every SCSI disk, and does not
//! tell a passive path from a broken one on any.

#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use checkers_core::{CheckContext, Messages, NoLogRecord, ScsiProbe, Verdict};
use sg_io::{Cancelled, Device, Read, Transport, sg_read};

/// The checker.
#[derive(Debug)]
pub enum Readsector0 {}

impl ScsiProbe for Readsector0 {
    const NAME: &'static str = "readsector0";
    const MESSAGES: Messages = Messages::COMMON;

    type Memory = ();
    type LogRecord = NoLogRecord;

    fn check(
        device: &mut Device<'_, impl Transport>,
        _: &mut CheckContext<Readsector0>,
    ) -> Result<Verdict, Cancelled> {
        Ok(match sg_read(device)? {
            Read::Up => Verdict::UP,
            Read::Down(_) => Verdict::DOWN,
        })
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The path checker `emc_clariion`, for EMC CLARiiON and VNX arrays: their vital product data page
//! C0h says how the path is configured and whether this storage processor owns the unit; an owner
//! is also asked to read.
//!
//! A unit that is the inactive snapshot of another takes no reads. On a passive path that looks like
//! any other passive unit, so the paths of a map share what an active path found out.

#![forbid(unsafe_code)]

mod log_record;
mod page;
#[cfg(test)]
mod tests;

pub use log_record::EmcLogRecord;
pub use page::Wwn;

use checkers_core::{CheckContext, MapMemory, Messages, PathState, ScsiProbe, Verdict};
use page::{Role, UnitPage};
use sg_io::{Cancelled, Data, Device, Errno, Read, Reply, SenseCode, SenseKey, Transport, sg_read};
use std::ffi::CStr;

/// The checker.
#[derive(Debug)]
pub enum EmcClariion {}

const QUERY_FAILED: &CStr = c": sending query command failed";
const QUERY_ERROR: &CStr = c": query command indicates error";
const WWN_CHANGED: &CStr = c": Logical Unit WWN has changed";
const READ_ERROR: &CStr = c": Read error";
const ACTIVE_PATH: &CStr = c": Active path is healthy";

const HEALTHY: Verdict = own(PathState::Up, ACTIVE_PATH);
/// An inactive snapshot leaves the message as it was.
const INACTIVE_SNAPSHOT: Verdict = Verdict::silent(PathState::Down);

/// What a read from an inactive snapshot is refused with.
const READ_OF_SNAPSHOT: SenseCode = SenseCode::new(0x5, 0x25, 0x01);

/// How often INQUIRY is sent while the transport may recover.
const ATTEMPTS: u32 = 5;

/// A state with one of the checker's own messages.
const fn own(state: PathState, text: &CStr) -> Verdict {
    Verdict::new(state, EmcClariion::MESSAGES.id(text))
}

/// Down, with one of the checker's own messages.
const fn down(text: &CStr) -> Verdict {
    own(PathState::Down, text)
}

impl ScsiProbe for EmcClariion {
    const NAME: &'static str = "emc_clariion";
    const MESSAGES: Messages = Messages::before_common(&[
        QUERY_FAILED,
        QUERY_ERROR,
        page::MISCONFIGURED,
        page::UNKNOWN_FORMAT,
        page::NOT_AVAILABLE,
        page::UNBOUND,
        WWN_CHANGED,
        READ_ERROR,
        ACTIVE_PATH,
    ]);
    const USES_MAP: bool = true;

    /// The name of the unit that the first good reply gave.
    type Memory = Option<Wwn>;
    type LogRecord = EmcLogRecord;

    fn check(
        device: &mut Device<'_, impl Transport>,
        context: &mut CheckContext<EmcClariion>,
    ) -> Result<Verdict, Cancelled> {
        let page = match inquire(device, context)? {
            Ok(page) => page,
            Err(verdict) => return Ok(verdict),
        };
        let role = match page.role() {
            Ok(role) => role,
            Err(verdict) => return Ok(verdict),
        };
        let wwn = page.wwn();
        if *context.memory.get_or_insert(wwn) != wwn {
            return Ok(const { down(WWN_CHANGED) });
        }
        match role {
            Role::Active => active(device, wwn, context),
            Role::Passive => Ok(passive(wwn, context)),
        }
    }
}

/// The page, or the verdict when there is none.
fn inquire(
    device: &mut Device<'_, impl Transport>,
    context: &mut CheckContext<EmcClariion>,
) -> Result<Result<UnitPage, Verdict>, Cancelled> {
    let mut attempt = 1;
    loop {
        let mut page = UnitPage::new();
        let reply = match device.send(UnitPage::INQUIRY, Data::In(page.buffer()))? {
            Ok(reply) => reply,
            Err(Errno(libc::ENOTTY)) => return Ok(Err(Verdict::UNSUPPORTED)),
            Err(_) => return Ok(Err(const { down(QUERY_FAILED) })),
        };
        if !reply.may_recover() || attempt == ATTEMPTS {
            return Ok(refusal(&reply, context).map_or(Ok(page), Err));
        }
        attempt += 1;
    }
}

/// The verdict on a reply to INQUIRY that decides whatever the page holds. The reserved bits of the status
/// count.
fn refusal(reply: &Reply, context: &mut CheckContext<EmcClariion>) -> Option<Verdict> {
    let record = match reply.reported_key(reply.status) {
        Some(SenseKey::ILLEGAL_REQUEST) => return Some(Verdict::UNSUPPORTED),
        // The kernel sets its bit for a recovered error as well.
        Some(SenseKey::RECOVERED_ERROR) | None if !reply.needs_check() => return None,
        Some(SenseKey::RECOVERED_ERROR) | None => EmcLogRecord::FailedWithoutSense(reply.status),
        Some(key) => EmcLogRecord::FailedWithSense(key),
    };
    context.log(record);
    Some(const { down(QUERY_ERROR) })
}

/// A path to the storage processor that owns the unit must be able to read. The other paths of the map learn
/// whether the unit is an inactive snapshot.
fn active(
    device: &mut Device<'_, impl Transport>,
    wwn: Wwn,
    context: &mut CheckContext<EmcClariion>,
) -> Result<Verdict, Cancelled> {
    let Read::Down(sense) = sg_read(device)? else {
        context.set_map(0);
        return Ok(HEALTHY);
    };
    let code = sense.at_fixed_offsets();
    if code == READ_OF_SNAPSHOT {
        context.set_map(1);
        context.log(EmcLogRecord::ActiveToSnapshot(wwn));
        return Ok(INACTIVE_SNAPSHOT);
    }
    context.log(EmcLogRecord::ReadError(wwn, code));
    Ok(const { down(READ_ERROR) })
}

/// The verdict on a passive path, which cannot be read: an inactive snapshot if an active path of the map has
/// found one, else healthy.
fn passive(wwn: Wwn, context: &mut CheckContext<EmcClariion>) -> Verdict {
    match context.map() {
        MapMemory::Absent | MapMemory::Unset | MapMemory::Set(0) => HEALTHY,
        MapMemory::Set(_) => {
            context.log(EmcLogRecord::PassiveToSnapshot(wwn));
            INACTIVE_SNAPSHOT
        }
    }
}

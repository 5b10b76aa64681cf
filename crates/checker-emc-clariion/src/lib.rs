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

use checkers_core::{
    Class, MapMemory, MessageId, MessageTable, Outcome, PathState, Probe, Task, Verdict,
};
use page::{Role, UnitPage};
use sg_io::{
    Cancelled, Data, Device, Errno, Kernel, LastReply, Read, Reply, SenseCode, SenseKey, Transport,
    sg_read,
};
use std::os::fd::RawFd;

/// The checker.
#[derive(Debug)]
pub enum EmcClariion {}

const QUERY_FAILED: Verdict = down(0);
const QUERY_ERROR: Verdict = down(1);
const WWN_CHANGED: Verdict = down(6);
const READ_ERROR: Verdict = down(7);
const HEALTHY: Verdict = Verdict::new(PathState::Up, MessageId::plugin(8));
/// An inactive snapshot leaves the message as it was.
const INACTIVE_SNAPSHOT: Verdict = Verdict::silent(PathState::Down);

/// What a read from an inactive snapshot is refused with.
const READ_OF_SNAPSHOT: SenseCode = SenseCode::new(0x5, 0x25, 0x01);

/// How often INQUIRY is sent while the transport may recover.
const ATTEMPTS: u32 = 5;

/// Down, with the message at `index` of the table.
const fn down(index: usize) -> Verdict {
    Verdict::new(PathState::Down, MessageId::plugin(index))
}

impl Probe for EmcClariion {
    const NAME: &'static str = "emc_clariion";
    const MESSAGES: MessageTable = &[
        c": sending query command failed",
        c": query command indicates error",
        c": Path not correctly configured for failover",
        c": Path unit report page in unknown format",
        c": Path not available for normal operations",
        c": Logical Unit is unbound or LUNZ",
        c": Logical Unit WWN has changed",
        c": Read error",
        c": Active path is healthy",
        c" still running",
        c" timed out",
        c" failed to initialize",
    ];
    const RUNNING: MessageId = MessageId::plugin(9);
    const TIMED_OUT: MessageId = MessageId::plugin(10);
    const NOT_STARTED: MessageId = MessageId::plugin(11);
    const USES_MAP: bool = true;

    /// The name of the unit that the first good reply gave.
    type Memory = Option<Wwn>;
    type LogRecord = EmcLogRecord;
    type LastReply = LastReply;

    fn probe(task: &mut Task<'_, Option<Wwn>>) -> Outcome<EmcClariion> {
        run(&Kernel, task)
    }

    fn device_number(fd: RawFd) -> (u32, u32) {
        sg_io::device_number(fd)
    }

    fn class() -> &'static Class<EmcClariion> {
        static CLASS: Class<EmcClariion> = Class::new();
        &CLASS
    }
}

/// One check over `transport`.
pub fn run(transport: &impl Transport, task: &mut Task<'_, Option<Wwn>>) -> Outcome<EmcClariion> {
    let (mut wwn, mut snapshot) = (task.memory, None);
    let map = task.map();
    let cancelled = || task.cancelled();
    let mut device = Device::new(transport, task.fd, task.timeout, &cancelled);
    let (verdict, record) = check(&mut device, &mut wwn, map, &mut snapshot)
        .unwrap_or_else(|cancelled| (cancelled.into(), None));
    let last_reply = device.last();
    task.memory = wwn;
    if let Some(snapshot) = snapshot.filter(|_| map != MapMemory::Absent) {
        // Tells the other paths of the map.
        task.set_map(i32::from(snapshot));
    }
    Outcome {
        verdict,
        record,
        last_reply,
    }
}

type Finding = (Verdict, Option<EmcLogRecord>);

fn check(
    device: &mut Device<'_, impl Transport>,
    known: &mut Option<Wwn>,
    map: MapMemory,
    snapshot: &mut Option<bool>,
) -> Result<Finding, Cancelled> {
    let page = match inquire(device)? {
        Ok(page) => page,
        Err(finding) => return Ok(finding),
    };
    let role = match page.role() {
        Ok(role) => role,
        Err(verdict) => return Ok((verdict, None)),
    };
    let wwn = page.wwn();
    if *known.get_or_insert(wwn) != wwn {
        return Ok((WWN_CHANGED, None));
    }
    match role {
        Role::Active => active(device, wwn, snapshot),
        Role::Passive => Ok(passive(wwn, map)),
    }
}

/// The page, or what the attempt to get it says about the path.
fn inquire(
    device: &mut Device<'_, impl Transport>,
) -> Result<Result<UnitPage, Finding>, Cancelled> {
    let mut attempt = 1;
    loop {
        let mut page = UnitPage::new();
        let reply = match device.send(UnitPage::INQUIRY, Data::In(page.buffer()))? {
            Ok(reply) => reply,
            Err(Errno(libc::ENOTTY)) => return Ok(Err((Verdict::UNSUPPORTED, None))),
            Err(_) => return Ok(Err((QUERY_FAILED, None))),
        };
        if reply.may_recover() && attempt < ATTEMPTS {
            attempt += 1;
            continue;
        }
        return Ok(refusal(&reply).map_or(Ok(page), Err));
    }
}

/// What a reply to INQUIRY says against the path, whatever the page holds. The status is taken with
/// its reserved bits.
fn refusal(reply: &Reply) -> Option<Finding> {
    match reply.reported_key(reply.status) {
        Some(SenseKey::ILLEGAL_REQUEST) => Some((Verdict::UNSUPPORTED, None)),
        // A recovered error still has the kernel's bit for "look here" and ends below.
        Some(SenseKey::RECOVERED_ERROR) | None => reply.needs_check().then_some((
            QUERY_ERROR,
            Some(EmcLogRecord::FailedWithoutSense(reply.status)),
        )),
        Some(key) => Some((QUERY_ERROR, Some(EmcLogRecord::FailedWithSense(key)))),
    }
}

/// A path to the storage processor that owns the unit must be able to read. What it says about the unit
/// goes to `snapshot`: whether it is an inactive one.
fn active(
    device: &mut Device<'_, impl Transport>,
    wwn: Wwn,
    snapshot: &mut Option<bool>,
) -> Result<Finding, Cancelled> {
    let Read::Down(sense) = sg_read(device)? else {
        *snapshot = Some(false);
        return Ok((HEALTHY, None));
    };
    let code = sense.at_fixed_offsets();
    if code == READ_OF_SNAPSHOT {
        *snapshot = Some(true);
        return Ok((INACTIVE_SNAPSHOT, Some(EmcLogRecord::ActiveToSnapshot(wwn))));
    }
    Ok((READ_ERROR, Some(EmcLogRecord::ReadError(wwn, code))))
}

/// A passive path is as good as the unit behind it.
fn passive(wwn: Wwn, map: MapMemory) -> Finding {
    match map {
        MapMemory::Absent | MapMemory::Unset | MapMemory::Set(0) => (HEALTHY, None),
        MapMemory::Set(_) => (
            INACTIVE_SNAPSHOT,
            Some(EmcLogRecord::PassiveToSnapshot(wwn)),
        ),
    }
}

//! The path checker `rdac`, for arrays of the LSI and Engenio line (NetApp E-Series, IBM DS4000,
//! Dell MD3000, …): their vital product data page C9h says which controller owns the unit.

#![forbid(unsafe_code)]

mod log_record;
mod page;
mod task_aborted;
#[cfg(test)]
mod tests;

pub use log_record::RdacLogRecord;

use checkers_core::{Class, MessageId, MessageTable, Outcome, PathState, Probe, Task, Verdict};
use page::AccessPage;
use sg_io::{Cancelled, Data, Device, Errno, Kernel, LastReply, Reply, SenseKey, Transport};
use std::os::fd::RawFd;

/// The checker.
#[derive(Debug)]
pub enum Rdac {}

/// No usable answer to INQUIRY.
pub const INQUIRY_FAILED: Verdict = Verdict::new(PathState::Down, MessageId::plugin(8));

/// How often INQUIRY is sent while the transport may recover.
const ATTEMPTS: u32 = 5;

impl Probe for Rdac {
    const NAME: &'static str = "rdac";
    const MESSAGES: MessageTable = &[
        c" reports path is down: lun not connected",
        c" reports path is down: ctlr is in startup sequence",
        c" reports path is down: non-responsive to queries",
        c" reports path is down: ctlr held in reset",
        c" reports path is down: ctlr firmware downloading",
        c" reports path is down: ctlr quiesced by admin request",
        c" reports path is down: ctlr is in service mode",
        c" reports path is down: ctlr is unavailable",
        c" reports path is down: inquiry failed",
        c" still running",
        c" timed out",
        c" failed to initialize",
    ];
    const RUNNING: MessageId = MessageId::plugin(9);
    const TIMED_OUT: MessageId = MessageId::plugin(10);
    const NOT_STARTED: MessageId = MessageId::plugin(11);
    const HAS_SETUP: bool = true;

    type Memory = ();
    type LogRecord = RdacLogRecord;
    type LastReply = LastReply;

    fn setup(task: &Task<'_, ()>) -> Option<RdacLogRecord> {
        prepare(&Kernel, task)
    }

    fn probe(task: &mut Task<'_, ()>) -> Outcome<Rdac> {
        run(&Kernel, task)
    }

    fn device_number(fd: RawFd) -> (u32, u32) {
        sg_io::device_number(fd)
    }

    fn class() -> &'static Class<Rdac> {
        static CLASS: Class<Rdac> = Class::new();
        &CLASS
    }
}

/// Sets the TAS bit of the control mode page over `transport`, so that the array answers commands
/// which another initiator aborts instead of letting them time out.
pub fn prepare(transport: &impl Transport, task: &Task<'_, ()>) -> Option<RdacLogRecord> {
    let cancelled = || task.cancelled();
    let mut device = Device::new(transport, task.fd, task.timeout, &cancelled);
    match task_aborted::enable(&mut device) {
        Ok(false) => Some(RdacLogRecord::TasNotSet),
        Ok(true) | Err(Cancelled) => None,
    }
}

/// One check over `transport`.
pub fn run(transport: &impl Transport, task: &Task<'_, ()>) -> Outcome<Rdac> {
    let cancelled = || task.cancelled();
    let mut device = Device::new(transport, task.fd, task.timeout, &cancelled);
    let (verdict, record) = check(&mut device).unwrap_or_else(|cancelled| (cancelled.into(), None));
    Outcome {
        verdict,
        record,
        last_reply: device.last(),
    }
}

fn check(
    device: &mut Device<'_, impl Transport>,
) -> Result<(Verdict, Option<RdacLogRecord>), Cancelled> {
    // Not cleared between attempts, as in C: what one attempt leaves, a shorter reply keeps.
    let mut page = AccessPage::new();
    let mut attempt = 1;
    loop {
        let reply = match device.send(AccessPage::INQUIRY, Data::In(page.buffer()))? {
            Ok(reply) => reply,
            Err(Errno(libc::ENOTTY)) => return Ok((Verdict::UNSUPPORTED, None)),
            Err(_) => return Ok((INQUIRY_FAILED, None)),
        };
        if reply.may_recover() && attempt < ATTEMPTS {
            attempt += 1;
            continue;
        }
        return Ok(refusal(&reply).unwrap_or_else(|| (page.verdict(), None)));
    }
}

/// What a reply to INQUIRY says against the unit, whatever the page holds.
fn refusal(reply: &Reply) -> Option<(Verdict, Option<RdacLogRecord>)> {
    let status = reply.status.masked();
    if reply.is_clear(status) {
        return None;
    }
    match reply.reported_key(status) {
        Some(SenseKey::RECOVERED_ERROR) => None,
        Some(SenseKey::ILLEGAL_REQUEST) => Some((Verdict::UNSUPPORTED, None)),
        Some(key) => Some((INQUIRY_FAILED, Some(RdacLogRecord::InquiryFailed(key)))),
        None => Some((INQUIRY_FAILED, None)),
    }
}

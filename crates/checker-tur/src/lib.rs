//! The path checker `tur`: TEST UNIT READY, the command with which a SCSI device says whether it
//! would take reads and writes.

#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use checkers_core::{
    Class, MessageId, MessageTable, NoLogRecord, Outcome, PathState, Probe, Task, Verdict,
};
use sg_io::{
    AdditionalSense, Cancelled, Cdb, Data, Device, Errno, HostStatus, Kernel, LastReply, Reply,
    ScsiStatus, SenseKey, Transport,
};
use std::os::fd::RawFd;

/// The checker.
#[derive(Debug)]
pub enum Tur {}

/// The target port group is changing its asymmetric access state.
pub const TRANSITIONING: Verdict = Verdict::new(PathState::Pending, MessageId::plugin(3));

/// How often the command is sent while the replies promise to pass.
const ATTEMPTS: u32 = 5;

impl Probe for Tur {
    const NAME: &'static str = "tur";
    const MESSAGES: MessageTable = &[
        c" still running",
        c" timed out",
        c" failed to initialize",
        c" reports path is transitioning",
    ];
    const RUNNING: MessageId = MessageId::plugin(0);
    const TIMED_OUT: MessageId = MessageId::plugin(1);
    const NOT_STARTED: MessageId = MessageId::plugin(2);

    type Memory = ();
    type LogRecord = NoLogRecord;
    type LastReply = LastReply;

    fn probe(task: &mut Task<'_, ()>) -> Outcome<Tur> {
        run(&Kernel, task)
    }

    fn device_number(fd: RawFd) -> (u32, u32) {
        sg_io::device_number(fd)
    }

    fn class() -> &'static Class<Tur> {
        static CLASS: Class<Tur> = Class::new();
        &CLASS
    }
}

/// One check over `transport`.
pub fn run(transport: &impl Transport, task: &Task<'_, ()>) -> Outcome<Tur> {
    let cancelled = || task.cancelled();
    let mut device = Device::new(transport, task.fd, task.timeout, &cancelled);
    let verdict = check(&mut device).unwrap_or_else(Verdict::from);
    Outcome {
        verdict,
        record: None,
        last_reply: device.last(),
    }
}

fn check(device: &mut Device<'_, impl Transport>) -> Result<Verdict, Cancelled> {
    let mut attempt = 1;
    loop {
        let reply = match device.send(Cdb::TEST_UNIT_READY, Data::None)? {
            Ok(reply) => reply,
            Err(Errno(libc::ENOTTY)) => return Ok(Verdict::UNSUPPORTED),
            Err(_) => return Ok(Verdict::DOWN),
        };
        let (verdict, durability) = classify(&reply);
        if durability == Durability::Lasting || attempt == ATTEMPTS {
            return Ok(verdict);
        }
        attempt += 1;
    }
}

/// Whether a second try is worth while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durability {
    Lasting,
    Passing,
}
use Durability::{Lasting, Passing};

/// What a reply says; where it may pass, the verdict counts only after the last attempt.
fn classify(reply: &Reply) -> (Verdict, Durability) {
    // The unit is there and works, for another initiator at the moment.
    if reply.status.masked() == ScsiStatus::RESERVATION_CONFLICT || !reply.needs_check() {
        return (Verdict::UP, Lasting);
    }
    let sense = reply.sense.by_response_code();
    let AdditionalSense { code, qualifier } = sense.additional;
    let verdict = match (sense.key, code, qualifier) {
        // Not accessible: the target port is in standby state.
        (SenseKey::NOT_READY, 0x04, 0x0b) => Verdict::GHOST,
        // Not accessible: asymmetric access state transition.
        (SenseKey::NOT_READY, 0x04, 0x0a) => TRANSITIONING,
        // Logical unit not supported: the target has unmapped it.
        (SenseKey::ILLEGAL_REQUEST, 0x25, 0x00) => Verdict::DISCONNECTED,
        _ => Verdict::DOWN,
    };
    let settled = matches!(
        reply.host_status,
        HostStatus::OK
            | HostStatus::NO_CONNECT
            | HostStatus::BAD_TARGET
            | HostStatus::ABORT
            | HostStatus::TRANSPORT_FAILFAST
    );
    if !settled || sense.key == SenseKey::UNIT_ATTENTION {
        (verdict, Passing)
    } else {
        (verdict, Lasting)
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The path checker `tur`: TEST UNIT READY, the command by which a SCSI device reports whether it
//! would take reads and writes.

#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use checkers_core::{CheckContext, Messages, NoLogRecord, PathState, ScsiProbe, Verdict};
use sg_io::{
    AdditionalSense, Cancelled, Cdb, Data, Device, Errno, HostStatus, Reply, ScsiStatus, SenseKey,
    Transport,
};
use std::ffi::CStr;

/// The checker.
#[derive(Debug)]
pub enum Tur {}

const TRANSITION: &CStr = c" reports path is transitioning";

/// The target port group is changing its asymmetric access state.
pub const TRANSITIONING: Verdict = Verdict::new(PathState::Pending, Tur::MESSAGES.id(TRANSITION));

/// How often the command is sent while the replies are passing ones.
const ATTEMPTS: u32 = 5;

impl ScsiProbe for Tur {
    const NAME: &'static str = "tur";
    // In the order of 0.9.5 to 0.14.
    const MESSAGES: Messages = Messages::after_common(&[TRANSITION]);

    type Memory = ();
    type LogRecord = NoLogRecord;

    fn check(
        device: &mut Device<'_, impl Transport>,
        _: &mut CheckContext<Tur>,
    ) -> Result<Verdict, Cancelled> {
        let mut attempt = 1;
        loop {
            let reply = match device.send(Cdb::TEST_UNIT_READY, Data::None)? {
                Ok(reply) => reply,
                Err(Errno(libc::ENOTTY)) => return Ok(Verdict::UNSUPPORTED),
                Err(_) => return Ok(Verdict::DOWN),
            };
            let (verdict, durability) = classify(&reply);
            if durability == Lasting || attempt == ATTEMPTS {
                return Ok(verdict);
            }
            attempt += 1;
        }
    }
}

/// Whether the same command may get another reply when it is sent again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durability {
    Lasting,
    Passing,
}
use Durability::{Lasting, Passing};

/// The verdict on a reply. A passing one counts only after the last attempt.
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

// SPDX-License-Identifier: GPL-2.0-or-later

//! The path checker `cciss_tur`, for logical volumes of HP Smart Array controllers under Linux'
//! former cciss driver: TEST UNIT READY through the driver's own requests.

#![forbid(unsafe_code)]

mod log_record;
#[cfg(test)]
mod tests;

pub use log_record::CcissLogRecord;

use checkers_core::{MessageId, Messages, Outcome, PathState, Probe, Task, Verdict};
use sg_io::cciss::{Answer, Controller};
use sg_io::{Errno, Kernel};
use std::fmt;

/// The checker.
#[derive(Debug)]
pub enum CcissTur {}

const NO_FD: Verdict = Verdict::new(PathState::Wild, MessageId::NO_FD);

/// The controller's last reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CcissReply {
    /// It did not report which volume this is.
    NoVolume(Errno),
    /// It did not take the command.
    NotSent(Errno),
    /// The reply to the command.
    Answered(Answer),
}

impl fmt::Display for CcissReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CcissReply::NoVolume(errno) => write!(f, "CCISS_GETLUNINFO: {errno}"),
            CcissReply::NotSent(errno) => write!(f, "CCISS_PASSTHRU: {errno}"),
            CcissReply::Answered(Answer {
                scsi_status,
                command_status,
            }) => write!(
                f,
                "TEST UNIT READY: SCSI status {scsi_status:02x}h, command status {command_status:04x}h"
            ),
        }
    }
}

impl Probe for CcissTur {
    const NAME: &'static str = "cciss_tur";
    const MESSAGES: Messages = Messages::COMMON;

    type Memory = ();
    type LogRecord = CcissLogRecord;
    type LastReply = CcissReply;

    fn probe(task: &mut Task<'_, ()>) -> Outcome<CcissTur> {
        run(&Kernel, task)
    }
}

/// One check of the volume by `controller`. The task's time limit does not reach the driver, which
/// waits for as long as it takes.
pub fn run(controller: &impl Controller, task: &Task<'_, ()>) -> Outcome<CcissTur> {
    if task.fd < 0 {
        return NO_FD.into();
    }
    if task.cancelled() {
        return UNWANTED.into();
    }
    let volume = match controller.logical_volume(task.fd) {
        Ok(volume) => volume,
        Err(errno) => {
            return Outcome {
                verdict: Verdict::DOWN,
                record: Some(CcissLogRecord::NoVolume(errno)),
                last_reply: Some(CcissReply::NoVolume(errno)),
            };
        }
    };
    if task.cancelled() {
        return UNWANTED.into();
    }
    match controller.test_unit_ready(task.fd, volume) {
        Err(errno) => Outcome {
            verdict: Verdict::DOWN,
            record: Some(CcissLogRecord::NotSent(errno)),
            last_reply: Some(CcissReply::NotSent(errno)),
        },
        Ok(answer) => Outcome {
            verdict: match answer {
                Answer {
                    scsi_status: 0,
                    command_status: 0,
                } => Verdict::UP,
                _ => Verdict::DOWN,
            },
            record: None,
            last_reply: Some(CcissReply::Answered(answer)),
        },
    }
}

/// The verdict of a check that was cancelled, which is not used.
const UNWANTED: Verdict = Verdict::silent(PathState::Unchecked);

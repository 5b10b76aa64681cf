// SPDX-License-Identifier: LGPL-2.0-or-later

//! Why a path is in its state: the last reply of the device, or the error on the way to it.

use checkers::checker_cciss_tur::CcissReply;
use checkers::checker_directio::Failure;
use serde::{Deserialize, Serialize};
use sg_io::cciss::Answer;
use sg_io::{DriverStatus, Errno, HostStatus, LastReply, Reply, ScsiStatus, Strerror};

/// The last reply in a check. This is the JSON document's object of this name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reason {
    /// The command or system call that got this reply.
    pub(crate) command: String,
    /// All of it in one line.
    pub(crate) text: String,
    /// The names of the three statuses, [`None`] when no reply came.
    pub(crate) scsi_status: Option<String>,
    pub(crate) host_status: Option<String>,
    pub(crate) driver_status: Option<String>,
    pub(crate) sense: Option<SenseData>,
    /// The error number when the kernel did not do it.
    pub(crate) errno: Option<i32>,
}

/// The decoded sense data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SenseData {
    key: u8,
    asc: u8,
    ascq: u8,
    text: String,
}

impl Reason {
    /// A system call that failed.
    pub(crate) fn error(call: &str, errno: Errno) -> Reason {
        Reason {
            command: call.to_owned(),
            text: format!("{call}: {}", Strerror(errno)),
            errno: Some(errno.0),
            ..Reason::default()
        }
    }
}

impl From<LastReply> for Reason {
    fn from(last_reply: LastReply) -> Self {
        let command = last_reply.cdb.name();
        let reply = match last_reply.result {
            Ok(reply) => reply,
            Err(errno) => return Reason::error(command, errno),
        };
        Reason {
            command: command.to_owned(),
            text: format!("{command}: {}", line(&reply)),
            scsi_status: Some(reply.status.to_string()),
            host_status: Some(reply.host_status.to_string()),
            driver_status: Some(reply.driver_status.to_string()),
            sense: reply.sense.decode().map(|decoded| SenseData {
                key: decoded.code.key.0,
                asc: decoded.code.additional.code,
                ascq: decoded.code.additional.qualifier,
                text: format!("{}: {}", decoded.code.key, decoded.code.additional),
            }),
            errno: None,
        }
    }
}

/// What is not as it should be. Statuses that only announce sense data go without saying when there
/// is some.
fn line(reply: &Reply) -> String {
    let sense = reply.sense.decode();
    let announced = |is: bool| is && sense.is_some();
    let mut parts = Vec::new();
    if reply.status != ScsiStatus::GOOD
        && !announced(reply.status.masked() == ScsiStatus::CHECK_CONDITION)
    {
        parts.push(reply.status.to_string());
    }
    if reply.host_status != HostStatus::OK {
        parts.push(reply.host_status.to_string());
    }
    if reply.driver_status != DriverStatus::OK
        && !announced(reply.driver_status.code() == DriverStatus::SENSE)
    {
        parts.push(reply.driver_status.to_string());
    }
    parts.extend(sense.map(|sense| sense.to_string()));
    if parts.is_empty() {
        parts.push(reply.status.to_string());
    }
    parts.join(", ")
}

impl From<CcissReply> for Reason {
    fn from(last_reply: CcissReply) -> Self {
        match last_reply {
            CcissReply::NoVolume(errno) => Reason::error("CCISS_GETLUNINFO", errno),
            CcissReply::NotSent(errno) => Reason::error("CCISS_PASSTHRU", errno),
            CcissReply::Answered(Answer { scsi_status, .. }) => Reason {
                command: "TEST UNIT READY".to_owned(),
                text: last_reply.to_string(),
                scsi_status: Some(ScsiStatus(scsi_status).to_string()),
                ..Reason::default()
            },
        }
    }
}

impl From<Failure> for Reason {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotSubmitted(errno) => Reason::error("io_submit", errno),
            Failure::Error(errno) => Reason::error("read", errno),
            Failure::Short => Reason {
                command: "read".to_owned(),
                text: "read: less than a block came back".to_owned(),
                ..Reason::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use checkers_core::{MapMemory, Seconds, Task, check_over};
    use sg_io::script::{Script, Step, descriptor_sense, fixed_sense};

    /// The reason that a check by tur gives for a device with these replies.
    fn tur(step: Step) -> Reason {
        let mut task = Task::uncancelled(3, Seconds(1), (), MapMemory::Absent);
        // tur repeats the command after a reply that may be transient.
        let outcome = check_over::<checkers::checker_tur::Tur>(&Script::new([step; 5]), &mut task);
        outcome.last_reply.unwrap().into()
    }

    #[test]
    fn a_line_for_people() {
        for (step, text) in [
            (
                Step::sense(fixed_sense(2, 0x04, 0x02)),
                "TEST UNIT READY: Not Ready: Logical unit not ready, initializing command required \
                 (02/04/02)",
            ),
            (
                Step::sense(descriptor_sense(5, 0x25, 0)),
                "TEST UNIT READY: Illegal Request: Logical unit not supported (05/25/00)",
            ),
            (
                Step::host(HostStatus::NO_CONNECT),
                "TEST UNIT READY: DID_NO_CONNECT",
            ),
            (Step::error(libc::ENODEV), "TEST UNIT READY: No such device"),
            (
                Step::sense(sg_io::Sense::NONE),
                "TEST UNIT READY: CHECK CONDITION, DRIVER_SENSE",
            ),
            (Step::GOOD, "TEST UNIT READY: GOOD"),
        ] {
            assert_eq!(tur(step).text, text);
        }
    }

    #[test]
    fn fields_for_programs() {
        let json = |reason: &Reason| serde_json::to_value(reason).unwrap();
        let sense = tur(Step::sense(fixed_sense(2, 0x04, 0x02)));
        assert_eq!(
            json(&sense),
            serde_json::json!({
                "command": "TEST UNIT READY",
                "text": sense.text,
                "scsi_status": "CHECK CONDITION",
                "host_status": "DID_OK",
                "driver_status": "DRIVER_SENSE",
                "sense": {
                    "key": 2, "asc": 4, "ascq": 2,
                    "text": "Not Ready: Logical unit not ready, initializing command required",
                },
                "errno": null,
            })
        );
        let error = json(&tur(Step::error(libc::ENXIO)));
        assert_eq!(
            (&error["errno"], &error["scsi_status"], &error["sense"]),
            (&libc::ENXIO.into(), &().into(), &().into())
        );
    }

    #[test]
    fn the_other_checkers() {
        for (reason, text, errno) in [
            (
                Reason::from(Failure::Error(Errno(libc::EIO))),
                "read: Input/output error",
                Some(libc::EIO),
            ),
            (
                Failure::NotSubmitted(Errno(libc::EBADF)).into(),
                "io_submit: Bad file descriptor",
                Some(libc::EBADF),
            ),
            (
                Failure::Short.into(),
                "read: less than a block came back",
                None,
            ),
            (
                CcissReply::NoVolume(Errno(libc::ENOTTY)).into(),
                "CCISS_GETLUNINFO: Inappropriate ioctl for device",
                Some(libc::ENOTTY),
            ),
            (
                CcissReply::Answered(Answer {
                    scsi_status: 2,
                    command_status: 1,
                })
                .into(),
                "TEST UNIT READY: SCSI status 02h, command status 0001h",
                None,
            ),
        ] {
            assert_eq!((reason.text.as_str(), reason.errno), (text, errno));
        }
    }
}

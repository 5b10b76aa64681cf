// SPDX-License-Identifier: LGPL-2.0-or-later

//! What a device answers to a command.

#![forbid(unsafe_code)]

use std::time::Duration;

/// The most sense data that the kernel copies to a caller with room for 32 bytes.
pub const SENSE_LENGTH: usize = 32;

/// Why the kernel may refuse a command, besides `ENOTTY`: the device takes no such request.
pub(crate) const ERRNOS: [(&str, i32); 8] = [
    ("EINTR", libc::EINTR),
    ("ENOMEM", libc::ENOMEM),
    ("EIO", libc::EIO),
    ("EBADF", libc::EBADF),
    ("ENODEV", libc::ENODEV),
    ("ENXIO", libc::ENXIO),
    ("EINVAL", libc::EINVAL),
    ("EAGAIN", libc::EAGAIN),
];

/// A reply to a command that the device takes. Which fields count depends on the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The SCSI status.
    pub status: u8,
    /// The host adapter's status.
    pub host: u16,
    /// The driver's status.
    pub driver: u16,
    /// `info` of the SG_IO header: bit 0 (SG_INFO_CHECK) is set when a status is not zero.
    pub info: u32,
    /// What was not transferred.
    pub residual: i32,
    /// What is written to the sense buffer.
    pub sense: [u8; SENSE_LENGTH],
    /// How much of it the kernel says it wrote, which may be wrong.
    pub sense_length: u8,
    /// The data, of which a shorter buffer gets the beginning.
    pub data: Vec<u8>,
    /// cciss: the number of the logical volume.
    pub volume: u32,
    /// cciss: the controller's status.
    pub command_status: u16,
}

impl Reply {
    /// Success without data.
    pub const GOOD: Reply = Reply {
        status: 0,
        host: 0,
        driver: 0,
        info: 0,
        residual: 0,
        sense: [0; SENSE_LENGTH],
        sense_length: 0,
        data: Vec::new(),
        volume: 0,
        command_status: 0,
    };

    /// Whether all three statuses are zero, reserved bits aside.
    pub fn is_clear(&self) -> bool {
        (self.status & 0x7e, self.host, self.driver) == (0, 0, 0)
    }
}

/// When an answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At once.
    AtOnce,
    /// After this time.
    After(Duration),
    /// When the device is released.
    Hung,
}

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// A reply, or the errno with which the kernel refuses the command.
    pub result: Result<Reply, i32>,
    /// When it comes.
    pub pace: Pace,
}

/// Success without data.
pub fn good() -> Answer {
    Answer::from(Reply::GOOD)
}

/// A command that the kernel refuses.
pub fn errno(errno: i32) -> Answer {
    Answer {
        result: Err(errno),
        pace: Pace::AtOnce,
    }
}

/// These statuses, with the kernel's SG_INFO_CHECK saying that one is not zero.
pub fn statuses(status: u8, host: u16, driver: u16) -> Answer {
    good().status(status).host(host).driver(driver).info(1)
}

/// A complaint of the host adapter's driver.
pub fn host(status: u16) -> Answer {
    statuses(0, status, 0)
}

/// CHECK CONDITION with sense data in fixed format, 18 bytes.
pub fn sense(key: u8, asc: u8, ascq: u8) -> Answer {
    statuses(2, 0, 8).fixed(key, asc, ascq)
}

/// CHECK CONDITION with sense data in descriptor format, 8 bytes.
pub fn descriptor_sense(key: u8, asc: u8, ascq: u8) -> Answer {
    statuses(2, 0, 8).descriptor(key, asc, ascq)
}

/// The same answer to each of `count` commands.
pub fn times(count: usize, answer: &Answer) -> Vec<Answer> {
    vec![answer.clone(); count]
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Answer {
            result: Ok(reply),
            pace: Pace::AtOnce,
        }
    }
}

/// Methods that return the same answer with another field. A refusal has no fields and stays as it is.
macro_rules! fields {
    ($($name:ident: $type:ty => |$reply:ident, $value:ident| $change:expr;)*) => {
        #[allow(missing_docs, reason = "each is named for the field of Reply")]
        impl Answer {
            $(pub fn $name(self, $value: $type) -> Answer {
                self.with(|$reply| $change)
            })*
        }
    };
}

fields! {
    status: u8 => |reply, value| reply.status = value;
    host: u16 => |reply, value| reply.host = value;
    driver: u16 => |reply, value| reply.driver = value;
    info: u32 => |reply, value| reply.info = value;
    data: impl Into<Vec<u8>> => |reply, value| reply.data = value.into();
    sense_length: u8 => |reply, value| reply.sense_length = value;
    response_code: u8 => |reply, value| reply.sense[0] = value;
    volume: u32 => |reply, value| reply.volume = value;
    command_status: u16 => |reply, value| reply.command_status = value;
}

impl Answer {
    fn with(mut self, change: impl FnOnce(&mut Reply)) -> Answer {
        if let Ok(reply) = &mut self.result {
            change(reply);
        }
        self
    }

    /// The same answer with sense data in fixed format, 18 bytes.
    pub fn fixed(self, key: u8, asc: u8, ascq: u8) -> Answer {
        self.with(|reply| {
            reply.sense = [0; SENSE_LENGTH];
            reply.sense[..3].copy_from_slice(&[0x70, 0, key]);
            (reply.sense[7], reply.sense[12], reply.sense[13]) = (10, asc, ascq);
            reply.sense_length = 18;
        })
    }

    /// The same answer with sense data in descriptor format, 8 bytes.
    pub fn descriptor(self, key: u8, asc: u8, ascq: u8) -> Answer {
        self.with(|reply| {
            reply.sense = [0; SENSE_LENGTH];
            reply.sense[..4].copy_from_slice(&[0x72, key, asc, ascq]);
            reply.sense_length = 8;
        })
    }

    /// The same answer with sense data in every form, and the key that it holds; `None` where no key is
    /// within the length that the kernel gives. Each with a name.
    pub(crate) fn sense_forms(&self) -> Vec<(String, Answer, Option<u8>)> {
        let mut forms = Vec::new();
        for key in [0, 1, 2, 3, 4, 5, 6, 0xb] {
            let fixed = self.clone().fixed(key, 0, 0);
            let descriptor = self.clone().descriptor(key, 0, 0);
            forms.push((format!("key {key:x}"), fixed, Some(key)));
            forms.push((
                format!("key {key:x}, descriptor format"),
                descriptor,
                Some(key),
            ));
        }
        let three_bytes = self.clone().descriptor(5, 0, 0).sense_length(3);
        let two_bytes = self.clone().fixed(5, 0, 0).sense_length(2);
        forms.push((
            "key 5, descriptor format, 3 bytes".to_owned(),
            three_bytes,
            Some(5),
        ));
        forms.push(("key 5, 2 bytes".to_owned(), two_bytes, None));
        forms.push(("no sense data".to_owned(), self.clone(), None));
        forms
    }

    /// The same answer at another time.
    pub fn at(self, pace: Pace) -> Answer {
        Answer { pace, ..self }
    }
}

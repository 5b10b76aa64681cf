// SPDX-License-Identifier: LGPL-2.0-or-later

//! A device whose replies are a script and which records its commands, for tests of everything that
//! decides by replies.

#![forbid(unsafe_code)]

use crate::{
    Cdb, Command, Data, DriverStatus, Errno, HostStatus, Millis, Reply, ScsiStatus, Sense,
    Transport,
};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};

/// The largest transfer for which a script can have data.
const LARGEST: usize = 256;

/// The reply to one command.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The reply, or why the command cannot be sent.
    pub result: Result<Reply, Errno>,
    /// What a command from the device finds in its buffer, as far as it reaches.
    pub data: [u8; LARGEST],
    /// How many bytes of `data` the device sends.
    pub length: usize,
}

impl Step {
    /// Success without data.
    pub const GOOD: Step = Step::reply(Reply::GOOD);

    /// A reply without data.
    pub const fn reply(reply: Reply) -> Step {
        Step {
            result: Ok(reply),
            data: [0; LARGEST],
            length: 0,
        }
    }

    /// A command that cannot be sent.
    pub const fn error(errno: i32) -> Step {
        Step {
            result: Err(Errno(errno)),
            data: [0; LARGEST],
            length: 0,
        }
    }

    /// CHECK CONDITION with `sense`.
    pub fn sense(sense: Sense) -> Step {
        Step::reply(Reply {
            status: ScsiStatus::CHECK_CONDITION,
            driver_status: DriverStatus::SENSE,
            info: 1,
            sense,
            ..Reply::GOOD
        })
    }

    /// A complaint of the host adapter's driver.
    pub fn host(status: HostStatus) -> Step {
        Step::reply(Reply {
            host_status: status,
            info: 1,
            ..Reply::GOOD
        })
    }

    /// The same reply, with data.
    pub fn with_data(mut self, data: &[u8]) -> Step {
        self.data[..data.len()].copy_from_slice(data);
        self.length = data.len();
        self
    }
}

/// Sense data in fixed format, 18 bytes.
pub fn fixed_sense(key: u8, asc: u8, ascq: u8) -> Sense {
    let mut bytes = [0; 32];
    (bytes[0], bytes[2], bytes[7]) = (0x70, key, 10);
    (bytes[12], bytes[13]) = (asc, ascq);
    Sense::new(bytes, 18)
}

/// Sense data in descriptor format, 8 bytes.
pub fn descriptor_sense(key: u8, asc: u8, ascq: u8) -> Sense {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&[0x72, key, asc, ascq]);
    Sense::new(bytes, 8)
}

/// Which way the data of a command went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// No data.
    None,
    /// From the device.
    In,
    /// To the device.
    Out,
}

/// A command as the device saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The command descriptor block.
    pub cdb: Cdb,
    /// Which way the data went.
    pub direction: Direction,
    /// The transfer length in bytes.
    pub length: usize,
    /// What was sent to the device.
    pub out: Vec<u8>,
    /// The time limit.
    pub timeout: Millis,
}

/// A device with a script.
#[derive(Debug)]
pub struct Script {
    steps: RefCell<VecDeque<Step>>,
    sent: RefCell<Vec<Sent>>,
    preferred: Cell<Result<u64, Errno>>,
}

impl Script {
    /// A device with these replies, one per command, and prefers transfers of 512 bytes.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Script {
        Script {
            steps: RefCell::new(steps.into_iter().collect()),
            sent: RefCell::default(),
            preferred: Cell::new(Ok(512)),
        }
    }

    /// The same device, with another preferred transfer size.
    pub fn preferring(self, size: Result<u64, Errno>) -> Script {
        self.preferred.set(size);
        self
    }

    /// Every command so far.
    pub fn sent(&self) -> Vec<Sent> {
        self.sent.borrow().clone()
    }
}

impl Transport for Script {
    /// # Panics
    /// When the script is at its end: more commands were sent than the test allows.
    fn execute(&self, _: RawFd, command: &mut Command<'_>) -> Result<Reply, Errno> {
        let (direction, length, out) = match &command.data {
            Data::None => (Direction::None, 0, Vec::new()),
            Data::In(buffer) => (Direction::In, buffer.len(), Vec::new()),
            Data::Out(bytes) => (Direction::Out, bytes.len(), bytes.to_vec()),
        };
        self.sent.borrow_mut().push(Sent {
            cdb: command.cdb,
            direction,
            length,
            out,
            timeout: command.timeout,
        });
        let Some(step) = self.steps.borrow_mut().pop_front() else {
            panic!("one command more than the script answers: {}", command.cdb);
        };
        if let Data::In(buffer) = &mut command.data {
            let length = step.length.min(buffer.len());
            buffer[..length].copy_from_slice(&step.data[..length]);
        }
        step.result
    }

    fn preferred_io(&self, _: RawFd) -> Result<u64, Errno> {
        self.preferred.get()
    }
}

/// A script whose check is cancelled while its first command is in flight.
#[derive(Debug)]
pub struct CancelledMeanwhile<'a> {
    /// The device.
    pub script: Script,
    /// The flag of the check.
    pub cancel: &'a AtomicBool,
}

impl Transport for CancelledMeanwhile<'_> {
    fn execute(&self, fd: RawFd, command: &mut Command<'_>) -> Result<Reply, Errno> {
        self.cancel.store(true, Ordering::SeqCst);
        self.script.execute(fd, command)
    }

    fn preferred_io(&self, fd: RawFd) -> Result<u64, Errno> {
        self.script.preferred_io(fd)
    }
}

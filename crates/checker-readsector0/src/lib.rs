//! The path checker `readsector0`: READ(10) of the first block. It works on every SCSI disk and
//! tells a passive path from a broken one on none.

#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use checkers_core::{Class, MessageId, MessageTable, NoLogRecord, Outcome, Probe, Task, Verdict};
use sg_io::{Device, Kernel, LastReply, Read, Transport, sg_read};
use std::os::fd::RawFd;

/// The checker.
#[derive(Debug)]
pub enum Readsector0 {}

impl Probe for Readsector0 {
    const NAME: &'static str = "readsector0";
    const MESSAGES: MessageTable = &[c" still running", c" timed out", c" failed to initialize"];
    const RUNNING: MessageId = MessageId::plugin(0);
    const TIMED_OUT: MessageId = MessageId::plugin(1);
    const NOT_STARTED: MessageId = MessageId::plugin(2);

    type Memory = ();
    type LogRecord = NoLogRecord;
    type LastReply = LastReply;

    fn probe(task: &mut Task<'_, ()>) -> Outcome<Readsector0> {
        run(&Kernel, task)
    }

    fn device_number(fd: RawFd) -> (u32, u32) {
        sg_io::device_number(fd)
    }

    fn class() -> &'static Class<Readsector0> {
        static CLASS: Class<Readsector0> = Class::new();
        &CLASS
    }
}

/// One check over `transport`.
pub fn run(transport: &impl Transport, task: &Task<'_, ()>) -> Outcome<Readsector0> {
    let cancelled = || task.cancelled();
    let mut device = Device::new(transport, task.fd, task.timeout, &cancelled);
    let verdict = match sg_read(&mut device) {
        Ok(Read::Up) => Verdict::UP,
        Ok(Read::Down(_)) => Verdict::DOWN,
        Err(cancelled) => cancelled.into(),
    };
    Outcome {
        verdict,
        record: None,
        last_reply: device.last(),
    }
}

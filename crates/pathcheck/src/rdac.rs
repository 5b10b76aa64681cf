//! rdac without its preparation: MODE SELECT changes a setting of the array, which a look at a path
//! must not do unasked.

use checkers::checker_rdac::Rdac;
use checkers_core::{Class, MessageId, MessageTable, Outcome, Probe, Task};
use std::os::fd::RawFd;

/// [`Rdac`], its checks alone.
#[derive(Debug)]
pub(crate) enum RdacReadOnly {}

impl Probe for RdacReadOnly {
    const NAME: &'static str = Rdac::NAME;
    const MESSAGES: MessageTable = Rdac::MESSAGES;
    const RUNNING: MessageId = Rdac::RUNNING;
    const TIMED_OUT: MessageId = Rdac::TIMED_OUT;
    const NOT_STARTED: MessageId = Rdac::NOT_STARTED;
    const HAS_SETUP: bool = false;

    type Memory = <Rdac as Probe>::Memory;
    type LogRecord = <Rdac as Probe>::LogRecord;
    type LastReply = <Rdac as Probe>::LastReply;

    fn probe(task: &mut Task<'_, Self::Memory>) -> Outcome<RdacReadOnly> {
        let Outcome {
            verdict,
            record,
            last_reply,
        } = Rdac::probe(task);
        Outcome {
            verdict,
            record,
            last_reply,
        }
    }

    fn device_number(fd: RawFd) -> (u32, u32) {
        Rdac::device_number(fd)
    }

    fn class() -> &'static Class<RdacReadOnly> {
        static CLASS: Class<RdacReadOnly> = Class::new();
        &CLASS
    }
}

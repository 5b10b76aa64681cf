// SPDX-License-Identifier: LGPL-2.0-or-later

//! One path during one check.

#![forbid(unsafe_code)]

use crate::{Cdb, Command, Data, Errno, Millis, Reply, Transport};
use std::fmt;
use std::os::fd::RawFd;

/// The check is no longer wanted: no further command may be sent on its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

/// A command and its reply, which explain a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastReply {
    /// The command.
    pub cdb: Cdb,
    /// The reply, or why there is none.
    pub result: Result<Reply, Errno>,
}

impl fmt::Display for LastReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.cdb.name())?;
        match &self.result {
            Ok(reply) => reply.fmt(f),
            Err(errno) => errno.fmt(f),
        }
    }
}

/// A path's device for the length of one check.
pub struct Device<'a, T> {
    transport: &'a T,
    fd: RawFd,
    timeout: Millis,
    cancelled: &'a dyn Fn() -> bool,
    last: Option<LastReply>,
}

impl<'a, T: Transport> Device<'a, T> {
    /// The device behind `fd`; each command gets `timeout`, and none is sent once `cancelled`
    /// returns `true`.
    pub fn new(
        transport: &'a T,
        fd: RawFd,
        timeout: Millis,
        cancelled: &'a dyn Fn() -> bool,
    ) -> Self {
        Device {
            transport,
            fd,
            timeout,
            cancelled,
            last: None,
        }
    }

    /// Sends one command and waits for the reply; `Err` of the inner result when it could not be
    /// sent ([`Transport::execute`]).
    ///
    /// # Errors
    /// [`Cancelled`]: nothing was sent.
    pub fn send(&mut self, cdb: Cdb, data: Data<'_>) -> Result<Result<Reply, Errno>, Cancelled> {
        if (self.cancelled)() {
            return Err(Cancelled);
        }
        let mut command = Command {
            cdb,
            data,
            timeout: self.timeout,
        };
        let result = self.transport.execute(self.fd, &mut command);
        self.last = Some(LastReply { cdb, result });
        Ok(result)
    }

    /// The preferred transfer size of the device node ([`Transport::preferred_io`]).
    ///
    /// # Errors
    /// The kernel's error.
    pub fn preferred_io(&self) -> Result<u64, Errno> {
        self.transport.preferred_io(self.fd)
    }

    /// The last command that was sent.
    pub fn last(&self) -> Option<LastReply> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HostStatus;
    use crate::script::{Script, Step};
    use std::cell::Cell;

    #[test]
    fn asks_before_every_command_and_remembers_the_last() {
        let script = Script::new([Step::GOOD, Step::error(libc::EIO), Step::GOOD]);
        let sends_left = Cell::new(2);
        let cancelled = || sends_left.replace(sends_left.get() - 1) == 0;
        let mut device = Device::new(&script, 3, Millis(7000), &cancelled);
        assert_eq!(device.last(), None);
        let turs = [(); 3].map(|()| device.send(Cdb::TEST_UNIT_READY, Data::None));
        assert_eq!(
            turs,
            [
                Ok(Ok(Reply::GOOD)),
                Ok(Err(Errno(libc::EIO))),
                Err(Cancelled)
            ]
        );
        assert_eq!(script.sent().len(), 2);
        assert_eq!(
            device.last().map(|last| last.result),
            Some(Err(Errno(libc::EIO)))
        );
    }

    #[test]
    fn evidence_names_the_command_and_the_reason() {
        let last_reply = |result| LastReply {
            cdb: Cdb::TEST_UNIT_READY,
            result,
        };
        let reply = Reply {
            host_status: HostStatus::NO_CONNECT,
            ..Reply::GOOD
        };
        assert_eq!(
            last_reply(Ok(reply)).to_string(),
            "TEST UNIT READY: GOOD, DID_NO_CONNECT"
        );
        assert!(
            last_reply(Err(Errno(libc::ENODEV)))
                .to_string()
                .starts_with("TEST UNIT READY: No such device")
        );
    }
}

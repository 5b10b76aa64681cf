// SPDX-License-Identifier: LGPL-2.0-or-later

//! The two requests with which a logical volume of an HP Smart Array controller is tested.
//!
//! They are those of the cciss driver, which Linux had up to 4.13 (<linux/cciss_ioctl.h>).

#![forbid(unsafe_code)]

use crate::Errno;
use std::os::fd::RawFd;

/// The controller's reply to a command that it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The SCSI status, not masked.
    pub scsi_status: u8,
    /// The controller's `CMD_*` status; 0 is success.
    pub command_status: u16,
}

/// What carries requests to a controller.
pub trait Controller {
    /// The number of the logical volume behind `fd` (`CCISS_GETLUNINFO`).
    ///
    /// # Errors
    /// The kernel's error: `ENOTTY` where there is no such controller.
    fn logical_volume(&self, fd: RawFd) -> Result<u32, Errno>;

    /// Sends TEST UNIT READY to the logical volume `volume` (`CCISS_PASSTHRU`) and waits for the
    /// reply without a time limit.
    ///
    /// # Errors
    /// The kernel's error.
    fn test_unit_ready(&self, fd: RawFd, volume: u32) -> Result<Answer, Errno>;
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! SCSI commands through the Linux `SG_IO` ioctl (version 3 header): one command out, one typed
//! reply back, and the decoding of that reply.
//!
//! * [`Transport`] sends one [`Command`]; [`Kernel`] is the real one. Everything above it is a pure
//!   function of replies and runs in tests without a device.
//! * [`Device`] is a transport bound to one path and one check: before every command it
//!   finds out whether the check is still wanted, and it keeps the last reply.
//! * [`Sense`] holds what the target said in its sense data, with the two rules by which
//!   multipath-tools reads it and a full decoder to text.
//! * [`sg_read()`] is the read of the first block that two checkers share; [`cciss`] are the two
//!   requests with which HP Smart Array volumes are tested instead.
//!
//! ```
//! use sg_io::{Cdb, Command, Data, Errno, Kernel, Millis, Sense, Transport};
//! use std::os::fd::AsRawFd;
//!
//! // A device that knows no SCSI refuses the request itself.
//! let null = std::fs::File::open("/dev/null")?;
//! let mut command = Command {
//!     cdb: Cdb::TEST_UNIT_READY,
//!     data: Data::None,
//!     timeout: Millis(5000),
//! };
//! let result = Kernel.execute(null.as_raw_fd(), &mut command);
//! assert_eq!(result, Err(Errno(libc::ENOTTY)));
//!
//! // Sense data in descriptor format: NOT READY, target port in standby state.
//! let mut buffer = [0; 32];
//! buffer[..4].copy_from_slice(&[0x72, 0x02, 0x04, 0x0b]);
//! let text = Sense::new(buffer, 8).decode().map(|decoded| decoded.to_string());
//! let expected = "Not Ready: Logical unit not accessible, target port in standby state (02/04/0b)";
//! assert_eq!(text.as_deref(), Some(expected));
//! # Ok::<(), std::io::Error>(())
//! ```

#![deny(unsafe_code)]

mod additional;
#[rustfmt::skip]
mod asc_table;
pub mod cciss;
mod command;
mod device;
#[allow(unsafe_code)]
mod kernel;
mod reply;
#[cfg(any(test, feature = "script"))]
#[allow(clippy::indexing_slicing, reason = "for tests only, which may panic")]
pub mod script;
mod sense;
mod sg_read;
mod status;

pub use additional::AdditionalSense;
pub use command::{Cdb, Command, Data, Millis};
pub use device::{Cancelled, Device, LastReply};
pub use kernel::Kernel;
pub use kernel_fd::{Errno, Strerror};
pub use reply::Reply;
pub use sense::{Decoded, Sense, SenseCode, SenseKey};
pub use sg_read::{Read, sg_read};
pub use status::{DriverStatus, HostStatus, ScsiStatus};

use std::os::fd::RawFd;

/// What carries a command to a device.
pub trait Transport {
    /// Sends `command` to the device behind `fd` and waits for the reply; the data of a
    /// [`Data::In`] command is then in its buffer.
    ///
    /// The wait ends when the kernel gives up, which may be long after the command's timeout: error
    /// handling comes on top of it.
    ///
    /// # Errors
    /// When the command was not sent: `ENOTTY` for a device that knows no `SG_IO`, `EBADF`,
    /// `ENODEV`, `ENOMEM`, …. A command that the device refused is no error but a [`Reply`].
    fn execute(&self, fd: RawFd, command: &mut Command<'_>) -> Result<Reply, Errno>;

    /// The preferred transfer size of the device node in bytes, `st_blksize`.
    ///
    /// # Errors
    /// `EBADF` when `fd` is not open.
    fn preferred_io(&self, fd: RawFd) -> Result<u64, Errno>;
}

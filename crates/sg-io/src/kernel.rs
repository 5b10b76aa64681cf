// SPDX-License-Identifier: LGPL-2.0-or-later

//! The border to the kernel: the only unsafe code of this crate.
//!
//! Requests go through the C library's `ioctl`, so a test that interposes the symbol sees each one.

mod cciss;
mod header;

use crate::{
    Command, Data, DriverStatus, Errno, HostStatus, Reply, ScsiStatus, Sense, Transport, sense,
};
use header::{DXFER_FROM_DEV, DXFER_NONE, DXFER_TO_DEV, Header};
use std::os::fd::RawFd;
use std::ptr::null_mut;

/// The `ioctl` request of <scsi/sg.h>.
const SG_IO: libc::Ioctl = 0x2285;

/// The transport of the running kernel, `SG_IO`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kernel;

impl Transport for Kernel {
    fn execute(&self, fd: RawFd, command: &mut Command<'_>) -> Result<Reply, Errno> {
        let (direction, data, length) = match &mut command.data {
            Data::None => (DXFER_NONE, null_mut(), 0),
            Data::In(buffer) => (DXFER_FROM_DEV, buffer.as_mut_ptr(), buffer.len()),
            Data::Out(bytes) => (DXFER_TO_DEV, bytes.as_ptr().cast_mut(), bytes.len()),
        };
        let cdb = command.cdb.as_bytes();
        let mut sense = [0; sense::LENGTH];
        let mut header = Header {
            interface_id: i32::from(b'S'),
            dxfer_direction: direction,
            cmd_len: cdb.len() as u8,
            mx_sb_len: sense::LENGTH as u8,
            dxfer_len: u32::try_from(length).map_err(|_| Errno(libc::EINVAL))?,
            dxferp: data.cast(),
            cmdp: cdb.as_ptr().cast_mut(),
            sbp: sense.as_mut_ptr(),
            timeout: command.timeout.0,
            ..Header::ZERO
        };
        // SAFETY: SG_IO takes a header of this layout, which is ours for the length of the call. Its
        // three pointers are to live memory of the lengths beside them, as the slices and the array
        // above guarantee; the kernel writes only to the sense buffer and, in direction FROM_DEV, to
        // the data, and both are exclusively ours. A device may write straight into the pages of the
        // data (the kernel maps them where their alignment allows, and copies elsewhere), but not
        // after the call: a block device's driver waits for the command without regard to signals,
        // however long it takes, and unmaps the pages before it returns. The sg driver's wait does
        // end at a signal; it goes through memory of its own unless a flag asks otherwise, and
        // `flags` is 0. On any other file the request fails before the header is read.
        if unsafe { libc::ioctl(fd, SG_IO, &mut header) } < 0 {
            return Err(Errno::last());
        }
        Ok(Reply {
            status: ScsiStatus(header.status),
            host_status: HostStatus(header.host_status),
            driver_status: DriverStatus(header.driver_status),
            info: header.info,
            residual: header.resid,
            sense: Sense::new(sense, header.sb_len_wr),
        })
    }

    fn preferred_io(&self, fd: RawFd) -> Result<u64, Errno> {
        kernel_fd::stat(fd).map(|stat| stat.preferred_io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cdb, Millis};
    use std::os::fd::AsRawFd;

    #[test]
    fn the_kernel_refuses_what_is_no_scsi_device() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let send = |fd, data| {
            Kernel.execute(
                fd,
                &mut Command {
                    cdb: Cdb::TEST_UNIT_READY,
                    data,
                    timeout: Millis(1000),
                },
            )
        };
        let mut buffer = [0; 8];
        assert_eq!(send(-1, Data::None), Err(Errno(libc::EBADF)));
        for data in [Data::None, Data::Out(&[1, 2]), Data::In(&mut buffer)] {
            assert_eq!(send(null.as_raw_fd(), data), Err(Errno(libc::ENOTTY)));
        }
        assert_eq!(Kernel.preferred_io(-1), Err(Errno(libc::EBADF)));
        assert!(Kernel.preferred_io(null.as_raw_fd()).unwrap() > 0);
    }
}

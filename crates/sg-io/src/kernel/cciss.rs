// SPDX-License-Identifier: LGPL-2.0-or-later

//! The requests of <linux/cciss_ioctl.h>.
//!
//! That header packs its inner structures and leaves the outer one alone; integers in the packed
//! part are byte arrays here, which need no alignment.

use super::Kernel;
use crate::Errno;
use crate::cciss::{Answer, Controller};
use std::ffi::c_int;
use std::os::fd::RawFd;
use std::ptr::null_mut;

/// `LogvolInfo_struct`.
#[repr(C)]
struct VolumeInfo {
    volume: u32,
    opens: c_int,
    partitions: c_int,
}

/// `IOCTL_Command_struct`.
#[repr(C)]
struct Passthru {
    lun: [u8; 8],
    cdb_length: u8,
    kind: u8,
    timeout: [u8; 2],
    cdb: [u8; 16],
    scsi_status: u8,
    sense_length: u8,
    command_status: [u8; 2],
    residual: [u8; 4],
    more_error_info: [u8; 8],
    sense: [u8; 32],
    buffer_size: u16,
    /// What a C compiler leaves out here; named, so that no stray byte goes to the kernel.
    padding: [u8; 2],
    buffer: *mut u8,
}

const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<VolumeInfo>() == 12);
    assert!(offset_of!(Passthru, cdb_length) == 8);
    assert!(offset_of!(Passthru, cdb) == 12);
    assert!(offset_of!(Passthru, scsi_status) == 28);
    assert!(offset_of!(Passthru, command_status) == 30);
    assert!(offset_of!(Passthru, sense) == 44);
    assert!(offset_of!(Passthru, buffer_size) == 76);
    assert!(offset_of!(Passthru, buffer) == 80);
    assert!(size_of::<Passthru>() == 80 + size_of::<*mut u8>());
};

const GETLUNINFO: libc::Ioctl = libc::_IOR::<VolumeInfo>(b'B' as u32, 17);
const PASSTHRU: libc::Ioctl = libc::_IOWR::<Passthru>(b'B' as u32, 11);

#[cfg(target_arch = "x86_64")]
const _: () = {
    assert!(GETLUNINFO == 0x800c_4211_u32 as libc::Ioctl);
    assert!(size_of::<usize>() != 8 || PASSTHRU == 0xc058_420b_u32 as libc::Ioctl);
};

/// Mode 1 of an address: a logical volume.
const LOGICAL: u32 = 1;
/// Task attribute "simple".
const SIMPLE: u8 = 4;

// Both values below are C bit-fields, which a little-endian ABI fills from the lowest bit and a
// big-endian one from the highest.

/// `LogDevAddr_struct`: 30 bits of volume number, 2 bits of mode, 4 bytes reserved.
fn address(volume: u32) -> [u8; 8] {
    let word = if cfg!(target_endian = "little") {
        volume & 0x3fff_ffff | LOGICAL << 30
    } else {
        volume << 2 | LOGICAL
    };
    let [a, b, c, d] = word.to_ne_bytes();
    [a, b, c, d, 0, 0, 0, 0]
}

/// Three bits of type (0, a command), three of attribute, two of direction (0, no data).
const KIND: u8 = if cfg!(target_endian = "little") {
    SIMPLE << 3
} else {
    SIMPLE << 2
};

impl Controller for Kernel {
    fn logical_volume(&self, fd: RawFd) -> Result<u32, Errno> {
        let mut info = VolumeInfo {
            volume: 0,
            opens: 0,
            partitions: 0,
        };
        // SAFETY: the request writes one structure of this layout, as the kernel's header has it,
        // through the pointer, which is to one of our own; all its fields are integers. A driver
        // that does not know the request refuses it.
        match unsafe { libc::ioctl(fd, GETLUNINFO, &mut info) } {
            0 => Ok(info.volume),
            _ => Err(Errno::last()),
        }
    }

    fn test_unit_ready(&self, fd: RawFd, volume: u32) -> Result<Answer, Errno> {
        let mut request = Passthru {
            lun: address(volume),
            cdb_length: 6,
            kind: KIND,
            timeout: [0; 2],
            cdb: [0; 16],
            scsi_status: 0,
            sense_length: 0,
            command_status: [0; 2],
            residual: [0; 4],
            more_error_info: [0; 8],
            sense: [0; 32],
            buffer_size: 0,
            padding: [0; 2],
            buffer: null_mut(),
        };
        // SAFETY: the request reads and writes one structure of this layout, as the kernel's header
        // has it, through the pointer, which is to one of our own. Its buffer is null and of size 0,
        // so there is no other memory to reach.
        if unsafe { libc::ioctl(fd, PASSTHRU, &mut request) } < 0 {
            return Err(Errno::last());
        }
        Ok(Answer {
            scsi_status: request.scsi_status,
            command_status: u16::from_ne_bytes(request.command_status),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    #[cfg(target_endian = "little")]
    fn volume_numbers_are_cut_to_thirty_bits() {
        assert_eq!(address(0), [0, 0, 0, 0x40, 0, 0, 0, 0]);
        assert_eq!(address(0x0102_0304), [4, 3, 2, 0x41, 0, 0, 0, 0]);
        assert_eq!(address(u32::MAX), [0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0]);
        assert_eq!(KIND, 0x20);
    }

    #[test]
    fn no_other_device_knows_the_requests() {
        let null = std::fs::File::open("/dev/null").unwrap();
        for (fd, errno) in [(null.as_raw_fd(), libc::ENOTTY), (-1, libc::EBADF)] {
            assert_eq!(Kernel.logical_volume(fd), Err(Errno(errno)));
            assert_eq!(Kernel.test_unit_ready(fd, 0), Err(Errno(errno)));
        }
    }
}

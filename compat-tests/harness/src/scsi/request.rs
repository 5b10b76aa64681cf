// SPDX-License-Identifier: LGPL-2.0-or-later

//! The structures of `SG_IO` and cciss requests, written down from the kernel's headers: what plugins
//! pass is measured by these, not by the plugins' own definitions.

use super::{CCISS_PASSTHRU, SG_IO};
use cases::{Reply, SENSE_LENGTH};
use std::ffi::{c_int, c_ulong, c_void};

/// The size of the structure of `CCISS_PASSTHRU`.
const CCISS_REQUEST: usize = 88;
const CCISS_SCSI_STATUS: usize = 28;
const CCISS_COMMAND_STATUS: usize = 30;

const TO_DEVICE: c_int = -2;
const FROM_DEVICE: c_int = -3;

/// `struct sg_io_hdr` of `scsi/sg.h`.
#[repr(C)]
struct SgHeader {
    interface_id: c_int,
    dxfer_direction: c_int,
    cmd_len: u8,
    mx_sb_len: u8,
    iovec_count: u16,
    dxfer_len: u32,
    dxferp: *mut u8,
    cmdp: *const u8,
    sbp: *mut u8,
    timeout: u32,
    flags: u32,
    pack_id: c_int,
    usr_ptr: *mut c_void,
    status: u8,
    masked_status: u8,
    msg_status: u8,
    sb_len_wr: u8,
    host_status: u16,
    driver_status: u16,
    resid: c_int,
    duration: u32,
    info: u32,
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<SgHeader>() == 88);
    assert!(std::mem::offset_of!(SgHeader, status) == RESULTS.start);
};

/// Where the results are in `struct sg_io_hdr` on 64-bit systems.
const RESULTS: std::ops::Range<usize> = 64..88;

/// A command as the kernel would get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The number of the ioctl request.
    pub request: c_ulong,
    /// The command descriptor block.
    pub cdb: Vec<u8>,
    /// Direction of the data, as the header has it.
    pub direction: c_int,
    /// The transfer length.
    pub length: u32,
    /// The time limit in milliseconds.
    pub timeout: u32,
    /// Room for sense data.
    pub sense_room: u8,
    /// What must be 'S', 0, 0, 0 and NULL: interface, scatter list, flags, pack id and user pointer.
    pub constants: (c_int, u16, u32, c_int, bool),
    /// Data to the device; of cciss' request the whole structure.
    pub out: Vec<u8>,
}

impl Sent {
    /// Whether the command is one of `libcheck_init`'s: MODE SENSE or MODE SELECT.
    pub fn is_preparation(&self) -> bool {
        matches!(self.cdb.first(), Some(0x55 | 0x5a))
    }
}

/// Reads a request; `None` for one that is no command.
///
/// # Safety
/// `argument` must be what `request` needs.
pub(super) unsafe fn read(request: c_ulong, argument: *mut c_void) -> Option<Sent> {
    if request != SG_IO {
        let mut out = Vec::new();
        if request == CCISS_PASSTHRU {
            // SAFETY: the structure has this size, and the caller has filled all of it.
            out = unsafe { std::slice::from_raw_parts(argument.cast(), CCISS_REQUEST) }.to_vec();
        } else if request != super::CCISS_GETLUNINFO {
            return None;
        }
        return Some(Sent {
            request,
            cdb: Vec::new(),
            direction: 0,
            length: 0,
            timeout: 0,
            sense_room: 0,
            constants: (0, 0, 0, 0, true),
            out,
        });
    }
    // SAFETY: the caller vouches for the header and for what its pointers lead to.
    unsafe {
        let header = &*argument.cast::<SgHeader>();
        let mut out = Vec::new();
        if header.dxfer_direction == TO_DEVICE {
            out = std::slice::from_raw_parts(header.dxferp, header.dxfer_len as usize).to_vec();
        }
        Some(Sent {
            request,
            cdb: std::slice::from_raw_parts(header.cmdp, usize::from(header.cmd_len)).to_vec(),
            direction: header.dxfer_direction,
            length: header.dxfer_len,
            timeout: header.timeout,
            sense_room: header.mx_sb_len,
            constants: (
                header.interface_id,
                header.iovec_count,
                header.flags,
                header.pack_id,
                header.usr_ptr.is_null(),
            ),
            out,
        })
    }
}

/// Writes a reply to where the request wants it.
///
/// # Safety
/// As [`read`], which must have found a command.
pub(super) unsafe fn write(request: c_ulong, argument: *mut c_void, reply: &Reply) {
    // SAFETY: the caller vouches for the structure and its pointers; all copies stay within the
    // lengths that the header gives, and the cciss offsets within the request's structure.
    unsafe {
        if request == CCISS_PASSTHRU {
            let argument = argument.cast::<u8>();
            argument.add(CCISS_SCSI_STATUS).write(reply.status);
            let place = argument.add(CCISS_COMMAND_STATUS).cast::<u16>();
            place.write_unaligned(reply.command_status);
            return;
        }
        if request != SG_IO {
            argument.cast::<u32>().write_unaligned(reply.volume);
            return;
        }
        let header = &mut *argument.cast::<SgHeader>();
        if header.dxfer_direction == FROM_DEVICE {
            let length = reply.data.len().min(header.dxfer_len as usize);
            let from = reply.data.as_ptr();
            header.dxferp.copy_from_nonoverlapping(from, length);
        }
        if !header.sbp.is_null() {
            let room = usize::from(header.mx_sb_len).min(SENSE_LENGTH);
            header
                .sbp
                .copy_from_nonoverlapping(reply.sense.as_ptr(), room);
        }
        header.status = reply.status;
        header.masked_status = (reply.status >> 1) & 0x1f;
        header.msg_status = 0;
        header.sb_len_wr = reply.sense_length;
        header.host_status = reply.host;
        header.driver_status = reply.driver;
        header.resid = reply.residual;
        header.duration = 1;
        header.info = reply.info;
    }
}

/// Success; with `pages`, the data of a path that is up.
///
/// # Safety
/// `argument` must be what `SG_IO` needs.
pub(super) unsafe fn succeed(argument: *mut c_void, pages: bool) {
    // SAFETY: the caller vouches for the header and its pointers.
    unsafe {
        let results = argument.cast::<u8>().add(RESULTS.start);
        results.write_bytes(0, RESULTS.len());
        let header = &*argument.cast::<SgHeader>();
        if !pages || header.dxfer_direction != FROM_DEVICE {
            return;
        }
        let data = std::slice::from_raw_parts_mut(header.dxferp, header.dxfer_len as usize);
        data.fill(0);
        let page: &[(usize, u8)] = match (header.cmdp.read(), header.cmdp.add(2).read()) {
            // rdac: this controller owns the unit.
            (0x12, 0xc9) => &[(1, 0xc9), (8, 1)],
            // emc_clariion: bound and owned here, failover mode 4, path enabled.
            (0x12, 0xc0) => &[(1, 0xc0), (4, 2), (27, 3), (28, 4), (30, 4)],
            // The control mode page: TAS can be set, and is not, so that MODE SELECT follows.
            (0x5a, 0x4a) => &[(13, 0x40)],
            _ => &[],
        };
        for (at, value) in page {
            if let Some(byte) = data.get_mut(*at) {
                *byte = *value;
            }
        }
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The header of an `SG_IO` request, `struct sg_io_hdr` of <scsi/sg.h>.

#![forbid(unsafe_code)]

use std::ffi::{c_int, c_uchar, c_uint, c_ushort, c_void};
use std::ptr::null_mut;

pub(super) const DXFER_NONE: c_int = -1;
pub(super) const DXFER_TO_DEV: c_int = -2;
pub(super) const DXFER_FROM_DEV: c_int = -3;

/// What a C compiler leaves out to align a pointer; named, so that no stray byte goes to the kernel.
type Padding = [u8; size_of::<*mut c_void>() - size_of::<c_int>()];

#[repr(C)]
pub(super) struct Header {
    pub(super) interface_id: c_int,
    pub(super) dxfer_direction: c_int,
    pub(super) cmd_len: c_uchar,
    pub(super) mx_sb_len: c_uchar,
    pub(super) iovec_count: c_ushort,
    pub(super) dxfer_len: c_uint,
    pub(super) dxferp: *mut c_void,
    pub(super) cmdp: *mut c_uchar,
    pub(super) sbp: *mut c_uchar,
    pub(super) timeout: c_uint,
    pub(super) flags: c_uint,
    pub(super) pack_id: c_int,
    pub(super) padding: Padding,
    pub(super) usr_ptr: *mut c_void,
    pub(super) status: c_uchar,
    pub(super) masked_status: c_uchar,
    pub(super) msg_status: c_uchar,
    pub(super) sb_len_wr: c_uchar,
    pub(super) host_status: c_ushort,
    pub(super) driver_status: c_ushort,
    pub(super) resid: c_int,
    pub(super) duration: c_uint,
    pub(super) info: c_uint,
    pub(super) tail: Padding,
}

impl Header {
    /// Every field zero, every pointer null.
    pub(super) const ZERO: Header = Header {
        interface_id: 0,
        dxfer_direction: 0,
        cmd_len: 0,
        mx_sb_len: 0,
        iovec_count: 0,
        dxfer_len: 0,
        dxferp: null_mut(),
        cmdp: null_mut(),
        sbp: null_mut(),
        timeout: 0,
        flags: 0,
        pack_id: 0,
        padding: [0; size_of::<Padding>()],
        usr_ptr: null_mut(),
        status: 0,
        masked_status: 0,
        msg_status: 0,
        sb_len_wr: 0,
        host_status: 0,
        driver_status: 0,
        resid: 0,
        duration: 0,
        info: 0,
        tail: [0; size_of::<Padding>()],
    };
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    use std::mem::offset_of;
    assert!(offset_of!(Header, dxfer_len) == 12);
    assert!(offset_of!(Header, dxferp) == 16);
    assert!(offset_of!(Header, timeout) == 40);
    assert!(offset_of!(Header, usr_ptr) == 56);
    assert!(offset_of!(Header, status) == 64);
    assert!(offset_of!(Header, sb_len_wr) == 67);
    assert!(offset_of!(Header, host_status) == 68);
    assert!(offset_of!(Header, driver_status) == 70);
    assert!(offset_of!(Header, resid) == 72);
    assert!(offset_of!(Header, info) == 80);
    assert!(size_of::<Header>() == 88);
};

#[cfg(target_pointer_width = "32")]
const _: () = assert!(size_of::<Header>() == 64);

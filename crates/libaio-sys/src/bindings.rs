// SPDX-License-Identifier: LGPL-2.0-or-later

//! Linux native AIO as <linux/aio_abi.h> declares it.
//!
//! Made by scripts/regenerate-bindings; do not edit. The layout assertions at compile time hold
//! on every 64-bit little-endian target. A big-endian kernel swaps `aio_key` and `aio_rw_flags`;
//! `iocb::set_rw_flags` knows that.

#![forbid(unsafe_code)]

pub const IOCB_FLAG_RESFD: u32 = 1;
pub const IOCB_FLAG_IOPRIO: u32 = 2;
pub type __s16 = ::core::ffi::c_short;
pub type __u16 = ::core::ffi::c_ushort;
pub type __u32 = ::core::ffi::c_uint;
pub type __s64 = ::core::ffi::c_longlong;
pub type __u64 = ::core::ffi::c_ulonglong;
pub type __kernel_ulong_t = ::core::ffi::c_ulong;
pub type __kernel_rwf_t = ::core::ffi::c_int;
pub type aio_context_t = __kernel_ulong_t;
pub const IOCB_CMD_PREAD: _bindgen_ty_1 = 0;
pub const IOCB_CMD_PWRITE: _bindgen_ty_1 = 1;
pub const IOCB_CMD_FSYNC: _bindgen_ty_1 = 2;
pub const IOCB_CMD_FDSYNC: _bindgen_ty_1 = 3;
pub const IOCB_CMD_POLL: _bindgen_ty_1 = 5;
pub const IOCB_CMD_NOOP: _bindgen_ty_1 = 6;
pub const IOCB_CMD_PREADV: _bindgen_ty_1 = 7;
pub const IOCB_CMD_PWRITEV: _bindgen_ty_1 = 8;
pub type _bindgen_ty_1 = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct io_event {
    pub data: __u64,
    pub obj: __u64,
    pub res: __s64,
    pub res2: __s64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of io_event"][::core::mem::size_of::<io_event>() - 32usize];
    ["Alignment of io_event"][::core::mem::align_of::<io_event>() - 8usize];
    ["Offset of field: io_event::data"][::core::mem::offset_of!(io_event, data) - 0usize];
    ["Offset of field: io_event::obj"][::core::mem::offset_of!(io_event, obj) - 8usize];
    ["Offset of field: io_event::res"][::core::mem::offset_of!(io_event, res) - 16usize];
    ["Offset of field: io_event::res2"][::core::mem::offset_of!(io_event, res2) - 24usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct iocb {
    pub aio_data: __u64,
    pub aio_key: __u32,
    pub aio_rw_flags: __kernel_rwf_t,
    pub aio_lio_opcode: __u16,
    pub aio_reqprio: __s16,
    pub aio_fildes: __u32,
    pub aio_buf: __u64,
    pub aio_nbytes: __u64,
    pub aio_offset: __s64,
    pub aio_reserved2: __u64,
    pub aio_flags: __u32,
    pub aio_resfd: __u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of iocb"][::core::mem::size_of::<iocb>() - 64usize];
    ["Alignment of iocb"][::core::mem::align_of::<iocb>() - 8usize];
    ["Offset of field: iocb::aio_data"][::core::mem::offset_of!(iocb, aio_data) - 0usize];
    ["Offset of field: iocb::aio_key"][::core::mem::offset_of!(iocb, aio_key) - 8usize];
    ["Offset of field: iocb::aio_rw_flags"][::core::mem::offset_of!(iocb, aio_rw_flags) - 12usize];
    ["Offset of field: iocb::aio_lio_opcode"]
        [::core::mem::offset_of!(iocb, aio_lio_opcode) - 16usize];
    ["Offset of field: iocb::aio_reqprio"][::core::mem::offset_of!(iocb, aio_reqprio) - 18usize];
    ["Offset of field: iocb::aio_fildes"][::core::mem::offset_of!(iocb, aio_fildes) - 20usize];
    ["Offset of field: iocb::aio_buf"][::core::mem::offset_of!(iocb, aio_buf) - 24usize];
    ["Offset of field: iocb::aio_nbytes"][::core::mem::offset_of!(iocb, aio_nbytes) - 32usize];
    ["Offset of field: iocb::aio_offset"][::core::mem::offset_of!(iocb, aio_offset) - 40usize];
    ["Offset of field: iocb::aio_reserved2"]
        [::core::mem::offset_of!(iocb, aio_reserved2) - 48usize];
    ["Offset of field: iocb::aio_flags"][::core::mem::offset_of!(iocb, aio_flags) - 56usize];
    ["Offset of field: iocb::aio_resfd"][::core::mem::offset_of!(iocb, aio_resfd) - 60usize];
};

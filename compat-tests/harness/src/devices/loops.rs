// SPDX-License-Identifier: LGPL-2.0-or-later

//! Loop devices that are gone when the last descriptor is closed, however the process ends.

use crate::{Doing, Result, Trouble};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::c_ulong;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

const LOOP_CTL_GET_FREE: c_ulong = 0x4c82;
const LOOP_CONFIGURE: c_ulong = 0x4c0a;
/// `BLKBSZSET` of `linux/fs.h`, which takes an int although its number says `size_t`.
const BLKBSZSET: c_ulong = 0x4000_1271 | (size_of::<usize>() as c_ulong) << 16;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LO_FLAGS_DIRECT_IO: u32 = 16;

/// `struct loop_info64` of `linux/loop.h`.
#[repr(C)]
struct LoopInfo64 {
    lo_device: u64,
    lo_inode: u64,
    lo_rdevice: u64,
    lo_offset: u64,
    lo_sizelimit: u64,
    lo_number: u32,
    lo_encrypt_type: u32,
    lo_encrypt_key_size: u32,
    lo_flags: u32,
    lo_file_name: [u8; 64],
    lo_crypt_name: [u8; 64],
    lo_encrypt_key: [u8; 32],
    lo_init: [u64; 2],
}

/// `struct loop_config` of `linux/loop.h`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo64,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<LoopInfo64>() == 232 && size_of::<LoopConfig>() == 304);

nix::ioctl_none_bad!(
    /// Returns the number of a free loop device.
    loop_ctl_get_free,
    LOOP_CTL_GET_FREE
);
nix::ioctl_write_ptr_bad!(
    /// Attaches a loop device to a file.
    loop_configure,
    LOOP_CONFIGURE,
    LoopConfig
);
nix::ioctl_write_ptr_bad!(
    /// Sets the block size that `BLKBSZGET` returns.
    blkbszset,
    BLKBSZSET,
    u32
);

/// What a loop device is to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The logical block size in bytes; 0 leaves it to the kernel.
    block: u32,
    /// The block size that `BLKBSZGET` returns, in bytes; 0 leaves it to the kernel.
    soft_block: u32,
    /// Whether the device refuses to be written.
    read_only: bool,
    /// Whether the device reads its file past the page cache.
    direct: bool,
}

impl Shape {
    /// Logical blocks of this size.
    pub fn new(block: u32) -> Shape {
        Shape {
            block,
            soft_block: 0,
            read_only: false,
            direct: false,
        }
    }

    /// The same; `BLKBSZGET` returns this size.
    #[must_use]
    pub fn soft(self, soft_block: u32) -> Shape {
        Shape { soft_block, ..self }
    }

    /// The same, read-only.
    #[must_use]
    pub fn read_only(self) -> Shape {
        Shape {
            read_only: true,
            ..self
        }
    }

    /// The same, reading its file past the page cache.
    #[must_use]
    pub fn direct(self) -> Shape {
        Shape {
            direct: true,
            ..self
        }
    }
}

/// An attached loop device.
#[derive(Debug)]
pub struct Loop {
    /// Holding this keeps the device attached.
    _device: File,
    number: u32,
}

impl Loop {
    /// Attaches a free loop device to the file behind `backing`.
    ///
    /// # Errors
    /// [`Trouble::NotHere`] without the right, without loop devices, or when the kernel does not
    /// allow the shape.
    pub fn attach(backing: BorrowedFd<'_>, shape: Shape) -> Result<Loop> {
        let control = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/loop-control")
            .map_err(|error| Trouble::NotHere(format!("/dev/loop-control: {error}")))?;
        let mut flags = LO_FLAGS_AUTOCLEAR;
        if shape.read_only {
            flags |= LO_FLAGS_READ_ONLY;
        }
        if shape.direct {
            flags |= LO_FLAGS_DIRECT_IO;
        }
        // Between asking for a free device and taking it, another process may take it.
        for _ in 0..20 {
            // SAFETY: the request takes no argument.
            let number = unsafe { loop_ctl_get_free(control.as_raw_fd()) }
                .map_err(|error| Trouble::NotHere(format!("no free loop device: {error}")))?;
            let number = u32::try_from(number).unwrap_or_default();
            let device = OpenOptions::new()
                .read(true)
                .write(!shape.read_only)
                .open(node(number))
                .map_err(|error| Trouble::NotHere(format!("/dev/loop{number}: {error}")))?;
            // SAFETY: the structure is plain integers, for which zero is valid.
            let mut config: LoopConfig = unsafe { std::mem::zeroed() };
            config.fd = u32::try_from(backing.as_raw_fd()).unwrap_or(u32::MAX);
            config.block_size = shape.block;
            config.info.lo_flags = flags;
            // SAFETY: the request reads one loop_config.
            match unsafe { loop_configure(device.as_raw_fd(), &raw const config) } {
                Ok(_) => {
                    set_soft_block(&device, shape)?;
                    return Ok(Loop {
                        _device: device,
                        number,
                    });
                }
                Err(Errno::EBUSY) => {}
                Err(error) => {
                    return Err(Trouble::NotHere(format!(
                        "the kernel refuses a loop device of this shape ({shape:?}): {error}"
                    )));
                }
            }
        }
        Err(Trouble::NotHere(
            "every free loop device was taken by another process".to_owned(),
        ))
    }

    /// The device's node.
    pub fn path(&self) -> PathBuf {
        node(self.number)
    }

    /// How many requests the device has not answered.
    ///
    /// # Errors
    /// When sysfs does not say.
    pub fn in_flight(&self) -> Result<u64> {
        let path = format!("/sys/block/loop{}/inflight", self.number);
        let text = std::fs::read_to_string(&path).doing(&path)?;
        Ok(text
            .split_whitespace()
            .filter_map(|word| word.parse::<u64>().ok())
            .sum())
    }
}

fn set_soft_block(device: &File, shape: Shape) -> Result<()> {
    if shape.soft_block == 0 {
        return Ok(());
    }
    // SAFETY: the request reads one int.
    let done = unsafe { blkbszset(device.as_raw_fd(), &raw const shape.soft_block) };
    let refused =
        |error| Trouble::NotHere(format!("the kernel refuses BLKBSZSET ({shape:?}): {error}"));
    done.map(drop).map_err(refused)
}

fn node(number: u32) -> PathBuf {
    Path::new("/dev").join(format!("loop{number}"))
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! What `init` finds out about a descriptor, and changes.

use crate::kernel::{logical_block_size, set_status_flags, soft_block_size, stat, status_flags};
use checkers_core::InitError;
use kernel_fd::{Errno, FileKind};
use std::os::fd::RawFd;

/// What is read when the kernel does not know the size of a block, and the most that is read from a
/// device whose logical blocks are not larger than this.
const DEFAULT_BLOCK_SIZE: u32 = 4096;

/// The largest logical block that Linux allows a device to have (`BLK_MAX_BLOCK_SIZE`, since 6.15; a
/// page before). Larger sizes, and those that are no power of two, are a driver's error.
const LARGEST_LOGICAL_BLOCK: u32 = 65_536;

/// How much a read reads.
pub(crate) struct BlockSize {
    pub(crate) bytes: u32,
    /// The kernel does not know a size, so this is the default.
    pub(crate) is_default: bool,
}

/// Determines how many bytes are to be read from `fd`.
///
/// # Errors
/// [`InitError::Unsuitable`] when the kernel's block size is 0.
pub(crate) fn block_size(fd: RawFd) -> Result<BlockSize, InitError> {
    let soft = soft_block_size(fd);
    let bytes = read_size(soft.unwrap_or(DEFAULT_BLOCK_SIZE), logical_block_size(fd));
    Ok(BlockSize {
        bytes: bytes.ok_or(InitError::Unsuitable("the block size is 0"))?,
        is_default: soft.is_err(),
    })
}

/// How many bytes to read: the device's block size, at most 4096 bytes (the value is wrong for DASDs),
/// unless a single logical block is larger than that and of a possible size. `None` for a block size
/// of 0.
fn read_size(soft: u32, logical: Result<u32, Errno>) -> Option<u32> {
    const LARGE: std::ops::RangeInclusive<u32> = DEFAULT_BLOCK_SIZE + 1..=LARGEST_LOGICAL_BLOCK;
    match logical {
        _ if soft == 0 => None,
        Ok(logical) if LARGE.contains(&logical) && logical.is_power_of_two() => Some(logical),
        _ => Some(soft.min(DEFAULT_BLOCK_SIZE)),
    }
}

/// The kind of file; [`FileKind::Other`] when the kernel does not say.
pub(crate) fn file_kind(fd: RawFd) -> FileKind {
    stat(fd).map_or(FileKind::Other, |stat| stat.kind)
}

/// Sets `O_DIRECT`. Returns whether it was not set before.
///
/// # Errors
/// `EBADF` when `fd` is not open, `EINVAL` when the file has no direct I/O.
pub(crate) fn set_direct(fd: RawFd) -> Result<bool, InitError> {
    set_direct_flag(fd).map_err(|errno| InitError::Os(errno.0))
}

fn set_direct_flag(fd: RawFd) -> Result<bool, Errno> {
    let flags = status_flags(fd)?;
    if flags & libc::O_DIRECT != 0 {
        return Ok(false);
    }
    set_status_flags(fd, flags | libc::O_DIRECT)?;
    Ok(true)
}

/// Clears `O_DIRECT`, unless the descriptor has been closed meanwhile.
pub(crate) fn clear_direct(fd: RawFd) {
    if let Ok(flags) = status_flags(fd) {
        let _ = set_status_flags(fd, flags & !libc::O_DIRECT);
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_a_block_of_a_size_that_linux_allows() {
        let no = Err(Errno(libc::ENOTTY));
        for (soft, logical, size) in [
            (512, Ok(512), Some(512)),
            (4096, no, Some(4096)),
            (65_536, Ok(512), Some(4096)),
            // A negative one, as the kernel stores it.
            (-1_i32 as u32, no, Some(4096)),
            (4096, Ok(i32::MIN as u32), Some(4096)),
            (0, Ok(512), None),
            (0, Ok(65_536), None),
            (512, Ok(4096), Some(512)),
            (4096, Ok(8192), Some(8192)),
            (512, Ok(65_536), Some(65_536)),
            // Impossible sizes are ignored.
            (4096, Ok(131_072), Some(4096)),
            (4096, Ok(1 << 30), Some(4096)),
            (512, Ok(0x7fff_ffff), Some(512)),
            (4096, Ok(4097), Some(4096)),
            (4096, Ok(12_288), Some(4096)),
            (4096, Ok(0), Some(4096)),
        ] {
            assert_eq!(read_size(soft, logical), size, "{soft} {logical:?}");
        }
    }
}

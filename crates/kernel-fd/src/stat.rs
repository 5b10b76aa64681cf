// SPDX-License-Identifier: LGPL-2.0-or-later

//! The kind of file that a descriptor refers to.

#![forbid(unsafe_code)]

use crate::Errno;
use crate::borrow::borrow;
use std::os::fd::RawFd;

/// The file types that a checker tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A block device.
    Block,
    /// A regular file.
    Regular,
    /// Anything else: a character device, a directory, a pipe, a socket.
    Other,
}

/// The part of `struct stat` that describes a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The number of the device that this special file stands for, as the C library encodes it; 0
    /// for a regular file.
    pub device: u64,
    /// The type of the file.
    pub kind: FileKind,
    /// The preferred size of one transfer, in bytes.
    pub preferred_io: u64,
    /// The size of a regular file in bytes; 0 for a device.
    pub size: u64,
}

impl Stat {
    /// The major part of the device number.
    pub fn major(&self) -> u32 {
        libc::major(self.device as libc::dev_t) as u32
    }

    /// The minor part of the device number.
    pub fn minor(&self) -> u32 {
        libc::minor(self.device as libc::dev_t) as u32
    }
}

/// Describes the file behind `fd` (`fstat`).
///
/// # Errors
/// `EBADF` when `fd` is not open.
pub fn stat(fd: RawFd) -> Result<Stat, Errno> {
    let stat = nix::sys::stat::fstat(borrow(fd)?)?;
    Ok(Stat {
        device: stat.st_rdev,
        kind: match stat.st_mode & libc::S_IFMT {
            libc::S_IFBLK => FileKind::Block,
            libc::S_IFREG => FileKind::Regular,
            _ => FileKind::Other,
        },
        preferred_io: u64::try_from(stat.st_blksize).unwrap_or(0),
        size: u64::try_from(stat.st_size).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn tells_files_from_devices() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let null = stat(null.as_raw_fd()).unwrap();
        assert_eq!((null.major(), null.minor()), (1, 3));
        assert_eq!(null.kind, FileKind::Other);

        let program = std::env::current_exe().unwrap();
        let size = program.metadata().unwrap().len();
        let program = std::fs::File::open(program).unwrap();
        let program = stat(program.as_raw_fd()).unwrap();
        assert_eq!(
            (program.kind, program.device, program.size),
            (FileKind::Regular, 0, size)
        );
        assert!(program.preferred_io > 0);
    }

    #[test]
    fn a_number_that_is_not_open_is_an_error() {
        for fd in [-1, i32::MAX, i32::MIN] {
            assert_eq!(stat(fd), Err(Errno(libc::EBADF)), "fd {fd}");
        }
    }
}

//! The block sizes of a block device.

use crate::Errno;
use std::ffi::c_int;
use std::os::fd::RawFd;

/// `BLKBSZGET` of <linux/fs.h>. The header says `size_t` and that is what the number encodes, but
/// the kernel stores an `int`.
const BLKBSZGET: libc::Ioctl = libc::_IOR::<usize>(0x12, 112);

#[cfg(all(
    target_arch = "x86_64",
    target_pointer_width = "64",
    target_env = "gnu"
))]
const _: () = assert!(BLKBSZGET == 0x8008_1270);

/// The block size of the device's page cache in bytes (`BLKBSZGET`): what a file system mounted
/// from it uses, or the kernel's default. Not necessarily what the device can transfer.
///
/// # Errors
/// `EBADF` when `fd` is not open, `ENOTTY` (or what the driver says) when it is no block device.
pub fn soft_block_size(fd: RawFd) -> Result<u32, Errno> {
    int_answer(fd, BLKBSZGET)
}

/// The smallest transfer that the device accepts, in bytes (`BLKSSZGET`).
///
/// # Errors
/// As [`soft_block_size`].
pub fn logical_block_size(fd: RawFd) -> Result<u32, Errno> {
    int_answer(fd, libc::BLKSSZGET)
}

/// Asks an ioctl that writes one `int`. It is taken as unsigned, so a negative one is a very large size.
fn int_answer(fd: RawFd, request: libc::Ioctl) -> Result<u32, Errno> {
    // Sized for what the request's number encodes, should a driver take that at its word.
    let mut answer = [0 as c_int; 2];
    // SAFETY: both requests that come here write one `int` (at most a `size_t`) through the
    // pointer, which is to an array of our own of that size, aligned for the `int`.
    if unsafe { libc::ioctl(fd, request, answer.as_mut_ptr()) } < 0 {
        return Err(Errno::last());
    }
    let [size, _] = answer;
    Ok(size as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn only_block_devices_have_block_sizes() {
        let program = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        for ask in [soft_block_size, logical_block_size] {
            assert_eq!(ask(program.as_raw_fd()), Err(Errno(libc::ENOTTY)));
            assert_eq!(ask(-1), Err(Errno(libc::EBADF)));
        }
    }

    #[test]
    #[ignore = "needs a block device that this user may open"]
    fn a_block_device_gives_powers_of_two() {
        let disks = std::fs::read_dir("/sys/block").unwrap();
        let opened: Vec<_> = disks
            .filter_map(|disk| {
                std::fs::File::open(std::path::Path::new("/dev").join(disk.ok()?.file_name())).ok()
            })
            .collect();
        assert!(
            !opened.is_empty(),
            "no block device here that this user may open"
        );
        for disk in opened {
            for ask in [soft_block_size, logical_block_size] {
                let size = ask(disk.as_raw_fd()).unwrap();
                assert!(size >= 512 && size.is_power_of_two(), "{disk:?}: {size}");
            }
        }
    }
}

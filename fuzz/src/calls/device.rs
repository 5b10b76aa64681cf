// SPDX-License-Identifier: LGPL-2.0-or-later

//! The device: the C library's `ioctl` of this program answers with the bytes of the input.

use std::ffi::{c_int, c_ulong, c_void};
use std::ops::Range;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI32};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The descriptor of the device.
pub(super) static FILE: AtomicI32 = AtomicI32::new(-1);
/// Whether commands hang.
pub(super) static HANGS: AtomicBool = AtomicBool::new(false);
/// The bytes of the next replies; `None` for success and zeros.
static REPLIES: Mutex<Option<Vec<u8>>> = Mutex::new(None);

pub(super) fn replies() -> MutexGuard<'static, Option<Vec<u8>>> {
    REPLIES.lock().unwrap_or_else(PoisonError::into_inner)
}

const SG_IO: c_ulong = 0x2285;
/// CCISS_GETLUNINFO and CCISS_PASSTHRU of <linux/cciss_ioctl.h>, and what a reply fills in.
const CCISS: [(c_ulong, Range<usize>); 2] = [(0x800c_4211, 0..12), (0xc058_420b, 28..68)];

/// Replaces the C library's function in this program.
///
/// # Safety
/// As for the C library's `ioctl`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    let reply_to = CCISS.iter().find(|(number, _)| *number == request);
    if request != SG_IO && reply_to.is_none() {
        // SAFETY: the caller gives the guarantees of `ioctl`.
        return unsafe { libc::syscall(libc::SYS_ioctl, fd, request, argument) } as c_int;
    }
    while HANGS.load(SeqCst) {
        std::thread::sleep(Duration::from_micros(20));
    }
    let mut replies = replies();
    let argument = argument.cast::<u8>();
    // SAFETY: a request's argument points to memory of the size of its structure.
    unsafe {
        match reply_to {
            Some((_, range)) => {
                let mut bytes = [0; 88];
                fill(&mut replies, &mut bytes[range.clone()]);
                argument
                    .add(range.start)
                    .copy_from_nonoverlapping(bytes[range.clone()].as_ptr(), range.len());
            }
            None => fill_header(argument, &mut replies),
        }
    }
    if replies
        .as_mut()
        .is_some_and(|bytes| bytes.pop() == Some(255))
    {
        let errno = replies.as_mut().and_then(Vec::pop).unwrap_or(5);
        // SAFETY: the C library's errno of this thread.
        unsafe { *libc::__errno_location() = errno.into() };
        return -1;
    }
    0
}

/// Takes bytes from the replies, zeros where there are none left.
fn fill(replies: &mut Option<Vec<u8>>, place: &mut [u8]) {
    for byte in place {
        *byte = replies.as_mut().and_then(Vec::pop).unwrap_or(0);
    }
}

/// Fills in what the kernel fills in: data, sense data and results. The results may claim that more was
/// written than was.
///
/// # Safety
/// `header` must be a `struct sg_io_hdr` of 64-bit systems whose pointers are good for their lengths.
unsafe fn fill_header(header: *mut u8, replies: &mut Option<Vec<u8>>) {
    const FROM_DEVICE: c_int = -3;
    let mut kinds = [0];
    fill(replies, &mut kinds);
    // SAFETY: the caller guarantees the header; the offsets are those of <scsi/sg.h>.
    unsafe {
        let number = |offset: usize| header.add(offset).cast::<u32>().read_unaligned() as usize;
        let pointer = |offset: usize| header.add(offset).cast::<*mut u8>().read_unaligned();
        let (length, sense_length) = (number(12), usize::from(header.add(9).read()));
        assert!(length <= 1 << 20, "a transfer of {length} bytes");
        if header.add(4).cast::<c_int>().read_unaligned() == FROM_DEVICE {
            let mut data = vec![0; length];
            if kinds[0] & 1 != 0 {
                let length = length.min(64);
                fill(replies, &mut data[..length]);
            }
            pointer(16).copy_from_nonoverlapping(data.as_ptr(), length);
        }
        if kinds[0] & 2 != 0 {
            let mut sense = vec![0; sense_length];
            fill(replies, &mut sense);
            pointer(32).copy_from_nonoverlapping(sense.as_ptr(), sense_length);
        }
        let mut results = [0; 24];
        if kinds[0] & 4 != 0 {
            fill(replies, &mut results);
        }
        header
            .add(64)
            .copy_from_nonoverlapping(results.as_ptr(), results.len());
    }
}

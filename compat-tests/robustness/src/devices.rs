//! SCSI devices behind descriptors of this process, and behind copies of those.

use crate::faults::{behind, fail};
use std::ffi::{c_int, c_ulong, c_void};
use std::os::fd::RawFd;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64};

/// How a device answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Device {
    /// It is none: the kernel answers.
    None = 0,
    /// With success, and with pages of a path that is up.
    Up = 1,
    /// Not before it behaves otherwise.
    Hangs = 2,
    /// As one that is up, after 50 ms.
    Slow = 3,
}

const COUNT: usize = 1024;

/// The device behind each descriptor: 0 for none.
static BEHIND: [AtomicU8; COUNT] = [const { AtomicU8::new(0) }; COUNT];
/// How each device behaves.
static BEHAVIOUR: [AtomicU8; 256] = [const { AtomicU8::new(0) }; 256];
/// Commands that hang.
static HANGING: AtomicU64 = AtomicU64::new(0);

const SG_IO: c_ulong = 0x2285;
/// CCISS_GETLUNINFO and CCISS_PASSTHRU of <linux/cciss_ioctl.h>.
const CCISS: [c_ulong; 2] = [0x800c_4211, 0xc058_420b];

fn behind_descriptor(fd: RawFd) -> Option<&'static AtomicU8> {
    BEHIND.get(usize::try_from(fd).ok()?)
}

/// Puts device number `device`, which must not be 0, behind a descriptor.
pub fn attach(fd: RawFd, device: u8) {
    if let Some(place) = behind_descriptor(fd) {
        place.store(device, SeqCst);
    }
}

/// From now on the device behaves so.
pub fn set(device: u8, behaviour: Device) {
    if let Some(place) = BEHAVIOUR.get(usize::from(device)) {
        place.store(behaviour as u8, SeqCst);
    }
}

/// How many commands hang.
pub fn hanging() -> u64 {
    HANGING.load(SeqCst)
}

/// `new`, if it is a descriptor, is a copy of `old`.
pub(super) fn copied(old: RawFd, new: RawFd) {
    let device = behind_descriptor(old).map_or(0, |place| place.load(SeqCst));
    attach(new, device);
}

/// There is no device behind `fd` any more.
pub(super) fn closed(fd: RawFd) {
    attach(fd, 0);
}

fn behaviour(device: u8) -> u8 {
    let place = BEHAVIOUR.get(usize::from(device));
    place.map_or(0, |place| place.load(SeqCst))
}

/// The exported function.
///
/// # Safety
/// As for the C library's `ioctl`.
pub unsafe fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    let device = behind_descriptor(fd).map_or(0, |place| place.load(SeqCst));
    if device == 0 || request != SG_IO && !CCISS.contains(&request) {
        let real = behind!(c"ioctl" as fn(c_int, c_ulong, *mut c_void) -> c_int);
        // SAFETY: the caller's word.
        return unsafe { real(fd, request, argument) };
    }
    HANGING.fetch_add(1, SeqCst);
    while behaviour(device) == Device::Hangs as u8 {
        pause(200);
    }
    HANGING.fetch_sub(1, SeqCst);
    if behaviour(device) == Device::Slow as u8 {
        pause(50_000);
    }
    if behaviour(device) == Device::None as u8 {
        return fail(libc::ENODEV);
    }
    if request == SG_IO {
        // SAFETY: SG_IO's argument is a struct sg_io_hdr.
        unsafe { answer(argument.cast()) };
    }
    0
}

/// Sleeps for all of that time, whatever signals come.
fn pause(micros: i64) {
    let mut left = libc::timespec {
        tv_sec: 0,
        tv_nsec: micros * 1000,
    };
    let place = &raw mut left;
    // SAFETY: reads and writes one timespec of ours.
    while unsafe { libc::nanosleep(place, place) } != 0 {}
}

/// Success, with the page that was asked for.
///
/// # Safety
/// `header` must be a struct sg_io_hdr of 64-bit systems whose pointers are good for their lengths.
unsafe fn answer(header: *mut u8) {
    /// Where the fields are.
    const DIRECTION: usize = 4;
    const LENGTH: usize = 12;
    const DATA: usize = 16;
    const CDB: usize = 24;
    const RESULTS: std::ops::Range<usize> = 64..88;
    const FROM_DEVICE: c_int = -3;
    // SAFETY: the caller's word.
    unsafe {
        header.add(RESULTS.start).write_bytes(0, RESULTS.len());
        if header.add(DIRECTION).cast::<c_int>().read_unaligned() != FROM_DEVICE {
            return;
        }
        let length = header.add(LENGTH).cast::<u32>().read_unaligned() as usize;
        let data = header.add(DATA).cast::<*mut u8>().read_unaligned();
        let cdb = header.add(CDB).cast::<*const u8>().read_unaligned();
        let data = std::slice::from_raw_parts_mut(data, length);
        data.fill(0);
        let page: &[(usize, u8)] = match (cdb.read(), cdb.add(2).read()) {
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

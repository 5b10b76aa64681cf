//! SCSI devices that exist in this process only, behind the `ioctl` that the host exports.
//!
//! A device is a file descriptor of anything (of /dev/zero, here) that has been told to behave like
//! one. It answers every command with success and zeroes, at once or after a while, or hangs.

use serde::{Deserialize, Serialize};
use std::ffi::{c_int, c_ulong, c_void};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How a device answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Device {
    /// It is none: the kernel answers.
    None = 0,
    /// With success, after the time that [`set_latency`] says.
    Answers = 1,
    /// Not before it behaves otherwise; with success then.
    Hangs = 2,
    /// With `ENODEV`.
    Gone = 3,
}

const MAX_FD: usize = 1 << 15;
static DEVICES: [AtomicU8; MAX_FD] = [const { AtomicU8::new(0) }; MAX_FD];
/// The descriptor that each one is a duplicate of, plus 1; 0 for none.
static ORIGINALS: [AtomicI32; MAX_FD] = [const { AtomicI32::new(0) }; MAX_FD];
static LATENCY_NANOS: AtomicU64 = AtomicU64::new(0);
/// How long a device hangs at most; 0 is for as long as it is told to.
static HANG_LIMIT_NANOS: AtomicU64 = AtomicU64::new(0);
/// Commands that came in.
static COMMANDS: AtomicU64 = AtomicU64::new(0);
/// Commands that hang; changes of any device's behaviour are announced here.
static HUNG: Mutex<u64> = Mutex::new(0);
static CHANGED: Condvar = Condvar::new();

/// `SG_IO` of <scsi/sg.h>; CCISS_GETLUNINFO and CCISS_PASSTHRU of <linux/cciss_ioctl.h>.
const COMMAND_REQUESTS: [c_ulong; 3] = [SG_IO, 0x800c_4211, 0xc058_420b];
const SG_IO: c_ulong = 0x2285;

/// Where the results begin in `struct sg_io_hdr`, and its size, on 64-bit systems.
const RESULTS: std::ops::Range<usize> = 64..88;

/// From now on `fd` behaves so.
///
/// # Panics
/// When the descriptor's number is 32768 or more.
pub fn set(fd: RawFd, device: Device) {
    let _held = hung();
    if let Some(original) = place(&ORIGINALS, fd) {
        original.store(0, Ordering::SeqCst);
    }
    match slot(fd) {
        Some(slot) => slot.store(device as u8, Ordering::SeqCst),
        None => panic!("descriptor {fd} is too large"),
    }
    CHANGED.notify_all();
}

/// How long devices that answer take for it.
pub fn set_latency(latency: Duration) {
    let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
    LATENCY_NANOS.store(nanos, Ordering::SeqCst);
}

/// How long a device that hangs does so at most, with each command: for callers that could not tell
/// it to answer because they are waiting for it themselves.
pub fn set_hang_limit(limit: Duration) {
    let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    HANG_LIMIT_NANOS.store(nanos, Ordering::SeqCst);
}

/// How many commands have come in so far.
pub fn commands() -> u64 {
    COMMANDS.load(Ordering::Relaxed)
}

/// How many commands hang at the moment.
pub fn hanging() -> u64 {
    *hung()
}

fn hung() -> MutexGuard<'static, u64> {
    HUNG.lock().unwrap_or_else(PoisonError::into_inner)
}

fn slot(fd: RawFd) -> Option<&'static AtomicU8> {
    place(&DEVICES, fd)
}

fn place<T>(table: &'static [T; MAX_FD], fd: RawFd) -> Option<&'static T> {
    table.get(usize::try_from(fd).ok()?)
}

/// The exported function.
///
/// # Safety
/// As for the C library's `fcntl`.
pub unsafe fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: the caller's word.
    let result = unsafe { libc::syscall(libc::SYS_fcntl, fd, command, argument) } as c_int;
    if command == libc::F_DUPFD_CLOEXEC {
        if let Some(original) = place(&ORIGINALS, result) {
            original.store(fd + 1, Ordering::Relaxed);
        }
    }
    result
}

/// The exported function.
///
/// # Safety
/// As for the C library's `ioctl`.
pub unsafe fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    let original = place(&ORIGINALS, fd).map_or(0, |original| original.load(Ordering::Relaxed));
    let fd = if original == 0 { fd } else { original - 1 };
    let device = slot(fd).map_or(0, |slot| slot.load(Ordering::Relaxed));
    if device == Device::None as u8 || !COMMAND_REQUESTS.contains(&request) {
        // SAFETY: the caller's word.
        return unsafe { libc::syscall(libc::SYS_ioctl, fd, request, argument) } as c_int;
    }
    COMMANDS.fetch_add(1, Ordering::Relaxed);
    if device == Device::Hangs as u8 {
        wait_while_hanging(fd);
    }
    if slot(fd).is_some_and(|slot| slot.load(Ordering::Relaxed) == Device::Gone as u8) {
        // SAFETY: the C library's errno of this thread.
        unsafe { *libc::__errno_location() = libc::ENODEV };
        return -1;
    }
    take_time(LATENCY_NANOS.load(Ordering::Relaxed));
    if request == SG_IO {
        // SAFETY: SG_IO's argument is a struct sg_io_hdr of which these are the results.
        unsafe {
            argument
                .cast::<u8>()
                .add(RESULTS.start)
                .write_bytes(0, RESULTS.len());
        }
    }
    0
}

fn wait_while_hanging(fd: RawFd) {
    let limit = match HANG_LIMIT_NANOS.load(Ordering::SeqCst) {
        0 => Duration::MAX,
        nanos => Duration::from_nanos(nanos),
    };
    let start = Instant::now();
    let mut hung = hung();
    *hung += 1;
    while slot(fd).is_some_and(|slot| slot.load(Ordering::SeqCst) == Device::Hangs as u8) {
        let left = limit.saturating_sub(start.elapsed());
        if left.is_zero() {
            break;
        }
        let woken = CHANGED.wait_timeout(hung, left);
        hung = woken.unwrap_or_else(PoisonError::into_inner).0;
    }
    *hung -= 1;
}

/// Sleeps as a command in the kernel does: not burning a processor, and without the 50 µs by which
/// the timers of an ordinary thread may be late.
fn take_time(nanos: u64) {
    if nanos == 0 {
        return;
    }
    let span = libc::timespec {
        tv_sec: (nanos / 1_000_000_000) as libc::time_t,
        tv_nsec: (nanos % 1_000_000_000) as libc::c_long,
    };
    // SAFETY: prctl with these options takes a number; nanosleep reads one timespec of ours. A signal
    // makes the device answer early, which is as good.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1 as c_ulong, 0, 0, 0);
        libc::nanosleep(&raw const span, std::ptr::null_mut());
        // 0 means the thread's default.
        libc::prctl(libc::PR_SET_TIMERSLACK, 0 as c_ulong, 0, 0, 0);
    }
}

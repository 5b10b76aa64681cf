// SPDX-License-Identifier: LGPL-2.0-or-later

//! SCSI devices that exist in this process only, behind the `ioctl` that test hosts export
//! ([`crate::interpose`]).
//!
//! A device is a number; descriptors of any file can be attached to it, and duplicates of them
//! follow. A device behaves in one of a few ways, at once or after a time, or follows a
//! [script]. No lock is held while a command waits, so a process may fork at any time.
//!
//! | module | subject |
//! |---|---|
//! | [`request`] | the structures of `ioctl` requests, parsed and filled |
//! | [`script`] | scripted devices: they reply from a list and record every command |

pub mod request;
pub mod script;

use crate::{Doing, Result, os};
use serde::{Deserialize, Serialize};
use std::ffi::{c_int, c_long, c_ulong, c_void};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

/// `SG_IO` of `scsi/sg.h`.
pub const SG_IO: c_ulong = 0x2285;
/// `CCISS_GETLUNINFO` of `linux/cciss_ioctl.h`.
pub const CCISS_GETLUNINFO: c_ulong = 0x800c_4211;
/// `CCISS_PASSTHRU` of `linux/cciss_ioctl.h`.
pub const CCISS_PASSTHRU: c_ulong = 0xc058_420b;

const MAX_FD: usize = 1 << 15;
const MAX_DEVICES: usize = 1 << 16;

/// How a device treats a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Behaviour {
    /// There is no device: the kernel gets the request.
    None = 0,
    /// Success; no data is written.
    Succeeds = 1,
    /// Success, with the pages of a path that is up.
    Healthy = 2,
    /// Nothing happens until the device behaves otherwise.
    Hangs = 3,
    /// `ENODEV`.
    Gone = 4,
    /// As its [script] says.
    Scripted = 5,
}

impl Behaviour {
    fn from(number: u8) -> Behaviour {
        match number {
            1 => Behaviour::Succeeds,
            2 => Behaviour::Healthy,
            3 => Behaviour::Hangs,
            4 => Behaviour::Gone,
            5 => Behaviour::Scripted,
            _ => Behaviour::None,
        }
    }
}

/// The device behind each descriptor; 0 for none.
static BEHIND: [AtomicU32; MAX_FD] = [const { AtomicU32::new(0) }; MAX_FD];
static BEHAVIOUR: [AtomicU8; MAX_DEVICES] = [const { AtomicU8::new(0) }; MAX_DEVICES];
/// How long each device takes for a command, in microseconds; 0 for [`DEFAULT_LATENCY`].
static LATENCY: [AtomicU32; MAX_DEVICES] = [const { AtomicU32::new(0) }; MAX_DEVICES];
static DEFAULT_LATENCY: AtomicU64 = AtomicU64::new(0);
/// How long a command hangs at most, in nanoseconds; 0 for no limit.
static PATIENCE: AtomicU64 = AtomicU64::new(0);
static COMMANDS: AtomicU64 = AtomicU64::new(0);
static HUNG: AtomicU64 = AtomicU64::new(0);
/// Counts changes of behaviour; commands that hang sleep on it.
static CHANGES: AtomicU32 = AtomicU32::new(0);

/// A device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Device(u32);

impl Device {
    /// A new device. Numbers are used again after 65 535 devices.
    pub fn new(behaviour: Behaviour) -> Device {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Relaxed) % (MAX_DEVICES as u32 - 1) + 1;
        let device = Device(number);
        device.set_latency(Duration::ZERO);
        device.set(behaviour);
        device
    }

    /// The device behind a descriptor.
    pub fn behind(fd: RawFd) -> Option<Device> {
        let number = slot(&BEHIND, fd)?.load(Relaxed);
        (number != 0).then_some(Device(number))
    }

    /// Puts the device behind a descriptor.
    ///
    /// # Panics
    /// When the descriptor is 32768 or more.
    pub fn attach(self, fd: RawFd) {
        match slot(&BEHIND, fd) {
            Some(slot) => slot.store(self.0, SeqCst),
            None => panic!("descriptor {fd} is too large"),
        }
    }

    /// A new descriptor of the device; without it, a descriptor of `/dev/zero`.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn open(self) -> Result<OwnedFd> {
        let fd = OwnedFd::from(File::open("/dev/zero").doing("opening /dev/zero")?);
        self.attach(fd.as_raw_fd());
        Ok(fd)
    }

    /// From now on the device behaves so; commands that hang go on accordingly.
    pub fn set(self, behaviour: Behaviour) {
        if let Some(place) = BEHAVIOUR.get(self.0 as usize) {
            place.store(behaviour as u8, SeqCst);
        }
        wake();
    }

    /// How the device behaves.
    pub fn behaviour(self) -> Behaviour {
        let place = BEHAVIOUR.get(self.0 as usize);
        Behaviour::from(place.map_or(0, |place| place.load(Relaxed)))
    }

    /// How long the device takes for each command; zero for [`set_latency`]'s time.
    pub fn set_latency(self, latency: Duration) {
        if let Some(place) = LATENCY.get(self.0 as usize) {
            let micros = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
            place.store(micros, SeqCst);
        }
    }

    fn latency_nanos(self) -> u64 {
        match LATENCY.get(self.0 as usize).map(|own| own.load(Relaxed)) {
            None | Some(0) => DEFAULT_LATENCY.load(Relaxed),
            Some(micros) => u64::from(micros) * 1000,
        }
    }
}

fn slot(table: &'static [AtomicU32; MAX_FD], fd: RawFd) -> Option<&'static AtomicU32> {
    table.get(usize::try_from(fd).ok()?)
}

/// How long devices take for a command that have no latency of their own.
pub fn set_latency(latency: Duration) {
    let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
    DEFAULT_LATENCY.store(nanos, SeqCst);
}

/// How long a command hangs at most; it then succeeds. For hosts that would wait for it on the only
/// thread that could end it.
pub fn set_patience(patience: Duration) {
    let nanos = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
    PATIENCE.store(nanos, SeqCst);
}

/// How many commands have come in so far.
pub fn commands() -> u64 {
    COMMANDS.load(Relaxed)
}

/// How many commands hang.
pub fn hung() -> u64 {
    HUNG.load(SeqCst)
}

/// `new`, if it is a descriptor, duplicates `old`.
pub(crate) fn duplicated(old: RawFd, new: RawFd) {
    if let (Some(old), Some(new)) = (slot(&BEHIND, old), slot(&BEHIND, new)) {
        new.store(old.load(Relaxed), Relaxed);
    }
}

/// The descriptor is about to be closed.
pub(crate) fn closed(fd: RawFd) {
    if let Some(slot) = slot(&BEHIND, fd) {
        if slot.load(Relaxed) != 0 {
            slot.store(0, Relaxed);
        }
    }
}

/// Gives a request to a device: the errno with which it fails; `None` when it is one for the kernel.
///
/// # Safety
/// `argument` must be what `request` needs.
pub(crate) unsafe fn command(
    device: Device,
    request: c_ulong,
    argument: *mut c_void,
) -> Option<std::result::Result<(), c_int>> {
    let behaviour = device.behaviour();
    let is_command = [SG_IO, CCISS_GETLUNINFO, CCISS_PASSTHRU].contains(&request);
    if behaviour == Behaviour::None || !is_command && behaviour != Behaviour::Scripted {
        return None;
    }
    COMMANDS.fetch_add(1, Relaxed);
    if behaviour == Behaviour::Scripted {
        // SAFETY: the caller's promise.
        return Some(unsafe { script::command(device, request, argument) });
    }
    let mut behaviour = behaviour;
    if behaviour == Behaviour::Hangs {
        HUNG.fetch_add(1, SeqCst);
        behaviour = hang(device);
        HUNG.fetch_sub(1, SeqCst);
    }
    if matches!(behaviour, Behaviour::Gone | Behaviour::None) {
        return Some(Err(libc::ENODEV));
    }
    sleep(device.latency_nanos());
    if request == SG_IO {
        // SAFETY: SG_IO's argument is a struct sg_io_hdr.
        unsafe { request::succeed(argument, behaviour == Behaviour::Healthy) };
    }
    Some(Ok(()))
}

/// `fstat` of a device that has a script: `false` for any other.
///
/// # Safety
/// `stat` must point to a `struct stat`.
pub(crate) unsafe fn fstat(device: Device, stat: *mut libc::stat) -> bool {
    if device.behaviour() != Behaviour::Scripted {
        return false;
    }
    // SAFETY: the caller's promise.
    unsafe { script::fstat(device, stat) }
}

/// Waits while the device hangs; its behaviour afterwards.
fn hang(device: Device) -> Behaviour {
    let patience = match PATIENCE.load(SeqCst) {
        0 => Duration::MAX,
        nanos => Duration::from_nanos(nanos),
    };
    let start = Instant::now();
    loop {
        let seen = CHANGES.load(SeqCst);
        let behaviour = device.behaviour();
        let left = patience.saturating_sub(start.elapsed());
        if behaviour != Behaviour::Hangs || left.is_zero() {
            return behaviour;
        }
        // A day, as good as no limit, keeps the numbers in range.
        wait_for_change(seen, left.min(Duration::from_secs(86_400)));
    }
}

/// Sleeps until [`CHANGES`] is no longer `seen`. Unlike the C library's waiting functions, no
/// cancellation point: neither is the kernel's `ioctl`.
fn wait_for_change(seen: u32, limit: Duration) {
    let limit = timespec(limit);
    // SAFETY: a futex of this process, and a timespec of this function.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            CHANGES.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            seen,
            &raw const limit,
        );
    }
}

fn wake() {
    CHANGES.fetch_add(1, SeqCst);
    if HUNG.load(SeqCst) > 0 {
        // SAFETY: a futex of this process.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                CHANGES.as_ptr(),
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                c_int::MAX,
            );
        }
    }
}

fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: time.as_secs() as libc::time_t,
        tv_nsec: time.subsec_nanos() as c_long,
    }
}

/// Sleeps as a command in the kernel does: without using the processor, without the 50 µs by which
/// timers of ordinary threads may be late, for all of the time whatever signals come, and not as a
/// cancellation point.
pub(crate) fn sleep(nanos: u64) {
    if nanos == 0 {
        return;
    }
    let mut left = timespec(Duration::from_nanos(nanos));
    let place = &raw mut left;
    // SAFETY: prctl with these options takes a number, 0 for the thread's default; nanosleep reads
    // and writes a timespec of this function.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1 as c_ulong, 0, 0, 0);
        while os(libc::syscall(libc::SYS_nanosleep, place, place) as c_int).is_err() {}
        libc::prctl(libc::PR_SET_TIMERSLACK, 0 as c_ulong, 0, 0, 0);
    }
}

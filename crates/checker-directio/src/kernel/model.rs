// SPDX-License-Identifier: LGPL-2.0-or-later

//! A model of kernel AIO for the model checker: contexts, their rings, and devices that hang or refuse.
//!
//! Devices are those of [`checkers_core::sync::open`]; a read of one has as many bytes as [`block_size`] says,
//! so a completion that goes to the path of another device is too short or too long. What must never happen
//! is remembered as a violation, since a worker survives a panic.

#![allow(
    missing_docs,
    reason = "the names are those of libaio-sys and kernel-fd"
)]

pub use checkers_core::sync::{Duplicate as OwnedFd, duplicate};

pub use context::{
    Completion, Context, Events, Memory, Missing, Quota, Remains, Submission, Submitted, Waiter,
};

mod context;

use checkers_core::sync::{self, Condvar, Mutex, below, lock};
use context::{Event, KernelContext};
use kernel_fd::{Errno, FileKind, Stat};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::os::fd::RawFd;
use std::sync::Arc;

/// What one schedule has.
struct World {
    devices: Arc<Devices>,
    /// Reads that devices have taken.
    taken: Vec<Taken>,
    /// Contexts that have not been destroyed.
    contexts: usize,
    violations: Vec<&'static str>,
}

/// Devices that hang, and the signal that they do not any more.
struct Devices {
    hung: Mutex<BTreeSet<u32>>,
    released: Condvar,
}

/// A read that a device has taken.
struct Taken {
    device: u32,
    kernel: Arc<KernelContext>,
    event: Event,
}

thread_local! {
    // shuttle runs all threads of a schedule on one.
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Begins a schedule, with these devices hung.
pub fn begin(hung: impl IntoIterator<Item = u32>) {
    WORLD.set(Some(World {
        devices: Arc::new(Devices {
            hung: Mutex::new(hung.into_iter().collect()),
            released: Condvar::new(),
        }),
        taken: Vec::new(),
        contexts: 0,
        violations: Vec::new(),
    }));
}

#[expect(
    clippy::expect_used,
    reason = "a scene without `begin` is a mistake of the scene"
)]
fn with_world<T>(use_it: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(|world| use_it(world.as_mut().expect("`begin` comes first")))
}

fn violation(what: &'static str) {
    with_world(|world| world.violations.push(what));
}

/// What has happened that must not.
pub fn violations() -> Vec<&'static str> {
    with_world(|world| world.violations.clone())
}

/// How many contexts have not been destroyed.
pub fn contexts() -> usize {
    with_world(|world| world.contexts)
}

/// Ends the hanging of all devices.
pub fn release() {
    let devices = with_world(|world| Arc::clone(&world.devices));
    lock(&devices.hung).clear();
    devices.released.notify_all();
}

/// Completes one read, of those that devices have taken and that do not hang. Returns whether there was one.
pub fn complete_one() -> bool {
    let devices = with_world(|world| Arc::clone(&world.devices));
    let hung = lock(&devices.hung).clone();
    let taken = with_world(|world| {
        let ready = |taken: &Taken| !hung.contains(&taken.device);
        let ready: Vec<_> = (0..)
            .zip(&world.taken)
            .filter(|(_, taken)| ready(taken))
            .map(|(index, _)| index)
            .collect();
        let index: usize = *ready.get(below(ready.len().max(1)))?;
        Some(world.taken.swap_remove(index))
    });
    let Some(Taken { kernel, event, .. }) = taken else {
        return false;
    };
    kernel.post(event);
    true
}

/// The size of the reads of a device, in bytes.
pub fn block_size(device: u32) -> u32 {
    512 * (device + 1)
}

/// Called where the kernel may block: the lock on the groups must not be held. (shuttle fails the schedule
/// when a thread takes a lock that it has.)
fn may_block() {
    // A schedule that has failed is torn down outside of the model checker.
    if !std::thread::panicking() {
        drop(crate::groups::groups());
    }
}

fn device_of(fd: RawFd) -> Result<u32, Errno> {
    sync::device_of(fd).ok_or(Errno::EBADF)
}

pub fn stat(fd: RawFd) -> Result<Stat, Errno> {
    device_of(fd).map(|device| Stat {
        device: device.into(),
        kind: FileKind::Regular,
        preferred_io: 4096,
        size: 0,
    })
}

pub fn soft_block_size(fd: RawFd) -> Result<u32, Errno> {
    device_of(fd).map(block_size)
}

pub fn logical_block_size(fd: RawFd) -> Result<u32, Errno> {
    device_of(fd).map(|_| 512)
}

pub fn status_flags(fd: RawFd) -> Result<i32, Errno> {
    device_of(fd).map(|_| libc::O_DIRECT)
}

pub fn set_status_flags(fd: RawFd, _flags: i32) -> Result<(), Errno> {
    device_of(fd).map(drop)
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The descriptors of one schedule: which device each number belongs to.

#![forbid(unsafe_code)]

use kernel_fd::Errno;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, RawFd};

thread_local! {
    // shuttle runs all threads of a schedule on one.
    static OPEN: RefCell<BTreeMap<RawFd, u32>> = const { RefCell::new(BTreeMap::new()) };
}

pub(super) fn reset() {
    OPEN.take();
}

/// Opens `device` and returns the lowest free number.
pub fn open(device: u32) -> RawFd {
    OPEN.with_borrow_mut(|open| {
        let fd = (0..).find(|fd| !open.contains_key(fd)).unwrap_or(-1);
        open.insert(fd, device);
        fd
    })
}

/// Closes a number that is open.
///
/// # Panics
/// When it is not.
pub fn close(fd: RawFd) {
    let closed = OPEN.with_borrow_mut(|open| open.remove(&fd));
    assert!(closed.is_some(), "closed twice");
}

/// The device behind `fd`; `None` when the number is not open.
pub fn device_of(fd: RawFd) -> Option<u32> {
    OPEN.with_borrow(|open| open.get(&fd).copied())
}

/// A second descriptor of what `fd` refers to.
///
/// # Errors
/// `EBADF` when `fd` is not open.
pub fn duplicate(fd: RawFd) -> Result<Duplicate, Errno> {
    device_of(fd)
        .map(|device| Duplicate(open(device)))
        .ok_or(Errno::EBADF)
}

/// A descriptor that is closed when it is dropped.
#[derive(Debug)]
pub struct Duplicate(RawFd);

impl AsRawFd for Duplicate {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl Drop for Duplicate {
    fn drop(&mut self) {
        close(self.0);
    }
}

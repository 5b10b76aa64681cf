// SPDX-License-Identifier: LGPL-2.0-or-later

//! Every lock of this crate, for a host that forks.
//!
//! A child process has the memory of its parent but none of its other threads. A lock that one of those
//! held would stay locked for ever.

use crate::deferred_submit::{Worker, jobs};
use crate::destroy::{Parked, parked};
use crate::groups::{Groups, groups};
use checkers_core::HeldCache;
use checkers_core::sync::MutexGuard;

/// Holds every lock of this crate; see [`hold_for_fork`].
#[must_use = "the locks are released when it is dropped"]
pub struct Held {
    _parked: MutexGuard<'static, Parked>,
    _jobs: HeldCache<Worker>,
    _groups: MutexGuard<'static, Groups>,
}

/// Takes every lock of this crate. To be called before `fork`, on the thread that forks; the guards are dropped
/// afterwards in the parent and in the child, where they belong to the calling thread.
///
/// A thread that has one of the locks neither waits for a device nor takes another lock of this crate. It may
/// take the lock of the pool while it has that of the jobs, so the pool is to be held after this.
pub fn hold_for_fork() -> Held {
    Held {
        _parked: parked(),
        _jobs: jobs().hold(),
        _groups: groups(),
    }
}

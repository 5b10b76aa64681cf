// SPDX-License-Identifier: LGPL-2.0-or-later

//! The locks, threads and clocks of the standard library.

#![forbid(unsafe_code)]

pub use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, atomic};

/// Threads.
pub mod thread {
    pub use std::hint::spin_loop;
    pub use std::thread::{Builder, sleep, yield_now};
}

/// Clocks.
pub mod time {
    pub use std::time::{Duration, Instant};
}

/// Whether the code is to behave as the broken variant of this name, which the model checker must catch: never.
#[inline(always)]
pub const fn broken(_variant: &str) -> bool {
    false
}

//! The real thing: std.

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

// SPDX-License-Identifier: LGPL-2.0-or-later

//! How a thread is started.

#![forbid(unsafe_code)]

use crate::sync::{OnceLock, thread};
use std::io;

/// The stack of a worker, in bytes. The daemon locks its memory, so each hung device costs this. Upstream's
/// tur gives its threads 4 KiB more; probes need less than a third of it, and the rest is for a panic
/// (without a backtrace).
pub const STACK_SIZE: usize = 28 * 1024;

/// How a thread is started: it runs the function given and ends.
pub type Spawner = fn(fn()) -> io::Result<()>;

static SPAWNER: OnceLock<Spawner> = OnceLock::new();

/// Sets how threads are started, for a host that is particular about them. Without it, and for every call
/// after the first, they are started as [`std::thread`] does.
pub fn set_spawner(spawner: Spawner) {
    SPAWNER.get_or_init(|| spawner);
}

/// Starts a detached thread with a small stack for something that may hang.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(body: fn()) -> io::Result<()> {
    SPAWNER.get().copied().unwrap_or(spawn_with_std)(body)
}

/// With more stack than [`STACK_SIZE`]: std's panic hook may want to print a backtrace, and memory that is
/// not locked costs nothing before it is used.
pub(super) fn spawn_with_std(body: fn()) -> io::Result<()> {
    let builder = thread::Builder::new()
        .name("checker".into())
        .stack_size(8 * STACK_SIZE);
    builder.spawn(body).map(drop)
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Which resources the interposed functions refuse, and what they count.
//!
//! What the host itself asks for is never refused, and not counted: a thread that has called
//! [`this_is_the_host`] counts only while it is [`inside`] the plugin, every other thread always.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64};

/// What can be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Resource {
    /// The allocator and `mmap`: `ENOMEM`.
    Memory,
    /// `pthread_create`: `EAGAIN`.
    Threads,
    /// `dup`, `fcntl(F_DUPFD…)`, `open`: `EMFILE`.
    Descriptors,
    /// `io_setup`: `EAGAIN`.
    Contexts,
    /// `io_submit`: `EAGAIN`.
    Requests,
}

impl Resource {
    /// Each of them.
    pub const ALL: [Resource; 5] = [
        Resource::Memory,
        Resource::Threads,
        Resource::Descriptors,
        Resource::Contexts,
        Resource::Requests,
    ];

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Set in [`ARMED`] while the heap and submissions are counted.
const COUNTING: u32 = 1 << 8;
/// Set in [`ARMED`] while [`crate::interpose::system`] has a hook.
pub(super) const SYSCALL_HOOK: u32 = 1 << 9;

/// What is armed: a bit for each refused resource, and the two above. 0 almost always.
static ARMED: AtomicU32 = AtomicU32::new(0);
/// The number of the first request that is refused, and whether all later ones are.
static AT: AtomicU64 = AtomicU64::new(0);
static AND_LATER: AtomicBool = AtomicBool::new(false);
/// Requests for the refused resources.
static SEEN: AtomicU64 = AtomicU64::new(0);
static HEAP: AtomicI64 = AtomicI64::new(0);

thread_local! {
    /// Whether this thread asks on behalf of the host.
    static HOST: Cell<bool> = const { Cell::new(false) };
}

/// From now on the calling thread belongs to the host.
pub fn this_is_the_host() {
    HOST.set(true);
}

/// Runs a call into the plugin.
pub fn inside<T>(call: impl FnOnce() -> T) -> T {
    let before = HOST.replace(false);
    let result = call();
    HOST.set(before);
    result
}

/// From now on request number `at` (from 1) for any of the resources is refused, and those after it
/// if `and_later`.
pub fn refuse(resources: &[Resource], at: u64, and_later: bool) {
    SEEN.store(0, SeqCst);
    AT.store(at, SeqCst);
    AND_LATER.store(and_later, SeqCst);
    let bits = resources.iter().fold(0, |bits, one| bits | one.bit());
    stop_refusing();
    ARMED.fetch_or(bits, SeqCst);
}

/// Nothing is refused any more.
pub fn stop_refusing() {
    let all = Resource::ALL.iter().fold(0, |bits, one| bits | one.bit());
    ARMED.fetch_and(!all, SeqCst);
}

/// How many requests there have been since [`refuse`].
pub fn requests() -> u64 {
    SEEN.load(SeqCst)
}

/// From now on [`heap`], from 0, and [`submitting`](super::system::submitting) are kept up to date. For single-threaded processes at their start:
/// a block that was allocated before and is freed later is subtracted all the same.
pub fn count() {
    HEAP.store(0, SeqCst);
    ARMED.fetch_or(COUNTING, SeqCst);
}

/// The size of the heap in bytes, relative to its size at [`count`].
pub fn heap() -> i64 {
    HEAP.load(SeqCst)
}

/// What is armed.
pub(super) fn armed() -> u32 {
    ARMED.load(Relaxed)
}

pub(super) fn arm(bit: u32, on: bool) {
    if on {
        ARMED.fetch_or(bit, SeqCst);
    } else {
        ARMED.fetch_and(!bit, SeqCst);
    }
}

/// Whether this request has to be refused.
pub(super) fn is_refused(resource: Resource) -> bool {
    if armed() & resource.bit() == 0 || HOST.get() {
        return false;
    }
    let number = SEEN.fetch_add(1, SeqCst) + 1;
    let at = AT.load(SeqCst);
    number == at || number > at && AND_LATER.load(SeqCst)
}

pub(super) fn is_counting() -> bool {
    armed() & COUNTING != 0
}

/// The heap has grown by so many bytes.
pub(super) fn heap_grows(bytes: i64) {
    HEAP.fetch_add(bytes, Relaxed);
}

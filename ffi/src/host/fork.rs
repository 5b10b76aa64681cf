// SPDX-License-Identifier: LGPL-2.0-or-later

//! Fork handlers: a child process inherits no locked lock.
//!
//! The child of a program with threads has the memory of its parent as it was at the fork: a lock that
//! another thread held stays locked, since that thread does not exist in the child. So the forking thread
//! takes every lock that instances share before the fork, and releases them after it, in both processes.
//! (What a single instance owns needs no lock: a child replaces it before it is used.)

use super::identity;
use checkers_core::Checker;
use checkers_core::pool::{self, POOL};
use checkers_core::sync::lock;
use kernel_fd::fork::Generation;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Guards between the two fork handlers.
struct Kept<G> {
    /// Held from `keep` to `release`: threads may fork at the same time.
    gate: Mutex<()>,
    guards: UnsafeCell<Option<(Option<G>, MutexGuard<'static, ()>)>>,
}

// SAFETY: `guards` is accessed in `keep` and in `release`, with `gate` held both times. Only the thread that
// called `keep`, or its copy in the child, comes to `release`: the C library runs the handlers of one fork on
// the thread that forks.
unsafe impl<G> Sync for Kept<G> {}

impl<G> Kept<G> {
    const fn new() -> Kept<G> {
        Kept {
            gate: Mutex::new(()),
            guards: UnsafeCell::new(None),
        }
    }

    /// Takes and keeps the guards.
    fn keep(&'static self, take: impl FnOnce() -> Option<G>) {
        let gate = lock(&self.gate);
        let guards = take();
        // SAFETY: no other thread can be here, since this one has locked `gate`.
        unsafe { *self.guards.get() = Some((guards, gate)) };
    }

    fn release(&self) {
        // SAFETY: `gate` is still held, and is released after the access, when the guards have been dropped.
        let guards = unsafe { (*self.guards.get()).take() };
        drop(guards);
    }
}

/// What one checker's instances share, locked during a fork. One static for each checker of a process.
pub struct ForkLocks<T: Checker>(Kept<T::Shared>);

impl<T: Checker> ForkLocks<T> {
    /// For a static.
    pub const fn new() -> ForkLocks<T> {
        ForkLocks(Kept::new())
    }

    /// The handler before a fork.
    pub fn hold(&'static self) {
        self.0.keep(|| T::lock_shared().ok());
    }

    /// The handler after a fork, in the parent and in the child.
    pub fn release(&self) {
        self.0.release();
    }
}

impl<T: Checker> Default for ForkLocks<T> {
    fn default() -> Self {
        ForkLocks::new()
    }
}

/// The fork handlers of one checker, made by [`fork_handlers!`](crate::fork_handlers).
#[derive(Clone, Copy)]
pub struct ForkHandlers {
    /// Makes what instances share, so that [`ForkLocks::hold`] finds it. Returns whether it exists.
    pub prepare: fn() -> bool,
    /// [`ForkLocks::hold`].
    pub hold: extern "C" fn(),
    /// [`ForkLocks::release`].
    pub release: extern "C" fn(),
    /// Whether the C library knows them.
    pub registered: &'static AtomicBool,
}

/// Whether what the checker's instances share exists, or has been made now.
#[doc(hidden)]
pub fn can_lock_shared<T: Checker>() -> bool {
    T::lock_shared().is_ok()
}

/// Makes a checker's [`ForkHandlers`].
#[macro_export]
macro_rules! fork_handlers {
    ($checker:ty) => {{
        static LOCKS: $crate::ForkLocks<$checker> = $crate::ForkLocks::new();
        static REGISTERED: ::std::sync::atomic::AtomicBool =
            ::std::sync::atomic::AtomicBool::new(false);
        extern "C" fn hold() {
            LOCKS.hold();
        }
        extern "C" fn release() {
            LOCKS.release();
        }
        $crate::ForkHandlers {
            prepare: $crate::can_lock_shared::<$checker>,
            hold,
            release,
            registered: &REGISTERED,
        }
    }};
}

/// The pool's lock and that of the host's detection, which all checkers of a process share.
static COMMON_LOCKS: Kept<(pool::Held, MutexGuard<'static, ()>)> = Kept::new();

extern "C" fn hold_common() {
    COMMON_LOCKS.keep(|| Some((POOL.hold(), identity::hold())));
}

extern "C" fn release_common() {
    COMMON_LOCKS.release();
}

/// Registers a checker's handlers with the C library, unless that has been done. Without memory for it, the
/// next call tries again.
pub fn register(checker: ForkHandlers) {
    if checker.registered.load(Ordering::Relaxed) {
        return;
    }
    // First of all the handler that counts forks. Later it would be registered with a lock held that is taken
    // here before a fork, and from 2.28 to 2.35 glibc registers none while the handlers of a fork run: the
    // two threads would wait for each other.
    if Generation::current().is_err() {
        return;
    }
    static COMMON_REGISTERED: AtomicBool = AtomicBool::new(false);
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    // Another thread registers the same handlers now, or did so when this process was forked, in which case
    // waiting for it would never end.
    let Ok(_guard) = ONE_AT_A_TIME.try_lock() else {
        return;
    };
    // Handlers before a fork are called last one first, so the pool is locked after all checkers: the order
    // in which a check locks them.
    let common = ForkHandlers {
        prepare: || true,
        hold: hold_common,
        release: release_common,
        registered: &COMMON_REGISTERED,
    };
    for handlers in [common, checker] {
        if !handlers.registered.load(Ordering::Relaxed) && !register_one(handlers) {
            return;
        }
    }
}

fn register_one(handlers: ForkHandlers) -> bool {
    let ForkHandlers { hold, release, .. } = handlers;
    // Nothing is made before a fork: without memory, a lock that appears meanwhile would not be held.
    if !(handlers.prepare)() {
        return false;
    }
    // SAFETY: the handlers stay loaded until the process ends, since a plugin is linked with -z nodelete.
    // They take only locks that are never held during a call of the C library's fork.
    let registered = unsafe { libc::pthread_atfork(Some(hold), Some(release), Some(release)) } == 0;
    handlers.registered.store(registered, Ordering::Relaxed);
    registered
}

#[cfg(test)]
mod tests {
    use super::*;
    use checkers_core::memory::OutOfMemory;
    use checkers_core::{Call, Initialized, MessageTable, PathState, Reported, Verdict};

    static SHARED: Mutex<()> = Mutex::new(());

    struct Device;

    impl Checker for Device {
        const NAME: &'static str = "device";
        const MESSAGES: MessageTable = &[];
        type Shared = MutexGuard<'static, ()>;

        fn lock_shared() -> Result<Self::Shared, OutOfMemory> {
            Ok(lock(&SHARED))
        }

        fn init(_call: &Call) -> Initialized<Self> {
            Ok(Device).into()
        }

        fn check(&mut self, _call: &Call) -> Reported {
            Verdict::silent(PathState::Unchecked).into()
        }

        fn pending(&mut self, _call: &Call) -> Reported {
            Verdict::silent(PathState::Unchecked).into()
        }

        fn need_wait(&self) -> bool {
            false
        }

        fn free(self, _call: &Call) {}
    }

    #[test]
    fn what_instances_share_is_locked_between_the_handlers() {
        static LOCKS: ForkLocks<Device> = ForkLocks::new();
        for _ in 0..2 {
            LOCKS.hold();
            assert!(SHARED.try_lock().is_err());
            LOCKS.release();
            assert!(SHARED.try_lock().is_ok());
        }
    }
}

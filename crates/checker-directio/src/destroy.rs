// SPDX-License-Identifier: LGPL-2.0-or-later

//! Destroying AIO contexts without waiting for their devices.
//!
//! `io_destroy` returns the context's `fs.aio-max-nr` quota first of all. Then it sleeps in the kernel: until
//! every request of the context has completed, which on a dead device is never, and for a grace period in
//! any case, some 30 ms. So each context is left to a thread of its own, its destroyer, which sleeps there and
//! then unmaps the buffers. What remains is memory of the allocator, which the next call of the host frees: a
//! thread that frees memory gets a malloc arena of its own.
//!
//! Without threads, contexts with nothing in flight are destroyed on the caller's thread, which takes the
//! grace period and no longer. The others stay parked.

use crate::kernel::{Context, Quota, Remains};
use checkers_core::memory::OutOfMemory;
use checkers_core::pool;
use checkers_core::sync::thread::sleep;
use checkers_core::sync::time::Instant;
use checkers_core::sync::{Mutex, MutexGuard, broken, lock};
use kernel_fd::Errno;
use kernel_fd::fork::{Generation, Home};
use std::time::Duration;

/// How long [`await_quota`] waits at most: enough for destroyers to start on a loaded machine.
const MOMENT: Duration = Duration::from_millis(20);

/// How long [`await_quota`] pauses between checks.
const STEP: Duration = Duration::from_micros(50);

checkers_core::process_static! {
    static PARKED: Mutex<Parked> = Mutex::new(Parked::new());
}

/// Contexts that are to be destroyed.
pub(crate) struct Parked {
    contexts: Vec<Context>,
    /// Contexts in use. Memory to park each of them is reserved in `contexts` and `remains`: without it a
    /// context could not be destroyed at its end, and its quota would be lost.
    reserved: usize,
    /// Contexts parked or being destroyed, for each of which there is room in `remains`.
    unfinished: usize,
    /// What remains of contexts that have been destroyed.
    remains: Vec<Remains>,
    /// Threads that have been started and have not yet taken one of `contexts`.
    destroyers: usize,
    /// The process that those threads belong to.
    home: Home,
}

/// Locks the parked contexts. No context is destroyed and no thread started while the guard exists.
pub(crate) fn parked() -> MutexGuard<'static, Parked> {
    lock(&PARKED)
}

/// Reserves memory for parking one more context, which [`destroy`] uses.
///
/// # Errors
/// [`OutOfMemory`].
pub(crate) fn reserve() -> Result<(), OutOfMemory> {
    parked().reserve()
}

/// Releases a reservation of [`reserve`] when no context was made.
pub(crate) fn take_back() {
    let mut parked = parked();
    parked.reserved = parked.reserved.saturating_sub(1);
}

/// Parks `context` and starts its destroyer.
pub(crate) fn destroy(context: Context) {
    if !context.is_here() {
        // A parent process's: only its memory is freed.
        return;
    }
    if broken("a context is dropped with reads in flight") {
        return drop(context);
    }
    let refused = parked().add(context);
    if let Some(context) = refused {
        log::warn!("directio: out of memory, an io context may stay behind");
        // Destroyed on the spot unless requests are in flight.
        drop(context);
    }
    retry();
}

/// Waits up to [`MOMENT`] until the quota of contexts that are being destroyed has been returned, for a host
/// that is about to make new ones.
pub(crate) fn await_quota(mut quotas: Vec<Quota>) {
    let start = Instant::now();
    loop {
        quotas.retain(|quota| !quota.is_returned());
        if quotas.is_empty() || start.elapsed() >= MOMENT {
            return;
        }
        sleep(STEP);
    }
}

/// Frees what earlier destroyers have left, and starts one for each parked context that has none.
pub(crate) fn retry() {
    loop {
        let remains = parked().remains.pop();
        if remains.is_none() {
            break;
        }
    }
    loop {
        let wanted = parked().wants_destroyer();
        if !wanted {
            return;
        }
        if let Err(error) = pool::spawn(destroy_one) {
            // The error's own text would have to be allocated.
            let errno = Errno(error.raw_os_error().unwrap_or(0));
            log::warn!("directio: no thread to release an io context: {errno}");
            break;
        }
    }
    parked().destroyer_refused();
    loop {
        let idle = parked().take_idle();
        // Dropping it destroys it.
        if idle.is_none() {
            return;
        }
    }
}

impl Parked {
    const fn new() -> Parked {
        Parked {
            contexts: Vec::new(),
            reserved: 0,
            remains: Vec::new(),
            unfinished: 0,
            destroyers: 0,
            home: Home::unknown(),
        }
    }

    /// A child process has neither the contexts of its parent nor the threads.
    fn begin_anew_in_a_child(&mut self) {
        if self.home.has_changed(Generation::current().ok()) {
            self.contexts.retain(Context::is_here);
            self.reserved = 0;
            self.unfinished = self.contexts.len();
            self.destroyers = 0;
        }
    }

    fn reserve(&mut self) -> Result<(), OutOfMemory> {
        self.begin_anew_in_a_child();
        let room = self.reserved.saturating_add(1);
        let remains = room.saturating_add(self.unfinished);
        self.contexts.try_reserve(room).map_err(|_| OutOfMemory)?;
        self.remains.try_reserve(remains).map_err(|_| OutOfMemory)?;
        self.reserved = room;
        Ok(())
    }

    /// Parks a context; returns it when there is no memory for that, which the reservation rules out.
    fn add(&mut self, context: Context) -> Option<Context> {
        self.begin_anew_in_a_child();
        self.reserved = self.reserved.saturating_sub(1);
        if self.contexts.try_reserve(1).is_err() {
            return Some(context);
        }
        self.unfinished = self.unfinished.saturating_add(1);
        self.contexts.push(context);
        None
    }

    /// Whether a context has no destroyer. If so, the caller starts one, which counts from now on.
    fn wants_destroyer(&mut self) -> bool {
        let wanted = self.destroyers < self.contexts.len();
        self.destroyers += usize::from(wanted);
        wanted
    }

    fn destroyer_refused(&mut self) {
        self.destroyers = self.destroyers.saturating_sub(1);
    }

    /// Removes a context that has nothing in flight and no destroyer.
    fn take_idle(&mut self) -> Option<Context> {
        if self.contexts.len() <= self.destroyers {
            return None;
        }
        let idle = |context: &mut Context| {
            // Without an answer, requests count as in flight.
            let _ = context.reap(|_| {});
            context.is_idle()
        };
        let at = self.contexts.iter_mut().position(idle)?;
        self.unfinished = self.unfinished.saturating_sub(1);
        Some(self.contexts.swap_remove(at))
    }

    /// Keeps what a destroyer has left, without allocating; returns it when there is no room, which the
    /// reservation rules out.
    fn keep(&mut self, remains: Remains) -> Option<Remains> {
        self.unfinished = self.unfinished.saturating_sub(1);
        if self.remains.len() == self.remains.capacity() {
            return Some(remains);
        }
        self.remains.push(remains);
        None
    }
}

/// The body of a destroyer.
fn destroy_one() {
    let mut parked = parked();
    parked.destroyers = parked.destroyers.saturating_sub(1);
    let context = parked.contexts.pop();
    drop(parked);
    if let Some(context) = context {
        let remains = context.drain_and_destroy();
        let refused = self::parked().keep(remains);
        drop(refused);
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    fn until(mut done: impl FnMut() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < Duration::from_secs(20), "never happened");
            sleep(STEP);
        }
    }

    #[test]
    fn what_destroyers_leave_is_freed_by_the_next_call() {
        // The calls of other tests free it as well.
        let _alone = crate::groups::tests::alone();
        for _ in 0..3 {
            let contexts = [(); 2].map(|()| {
                reserve().unwrap();
                Context::new(1).unwrap()
            });
            contexts.into_iter().for_each(destroy);
            until(|| parked().unfinished == 0);
            assert!(!parked().remains.is_empty());
            retry();
            assert!(parked().remains.is_empty());
        }
    }
}

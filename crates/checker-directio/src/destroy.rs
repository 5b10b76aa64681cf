//! Destroying AIO contexts without waiting for their devices.
//!
//! `io_destroy` gives the context's `fs.aio-max-nr` quota back first of all. Then it sleeps in the
//! kernel: until every request of the context has completed, which on a dead device is never, and for
//! a grace period in any case, some 30 ms. So each context is left to a thread of its own, a destroyer,
//! which does that sleeping; the buffers are unmapped when it is over. What is left then is memory of the
//! allocator, which the next call of the host frees: a thread that frees gets a malloc arena of its own.
//!
//! Without threads to be had, contexts with nothing in flight are destroyed on the caller's thread, which
//! takes the grace period and no longer. The others stay parked.

use checkers_core::memory::OutOfMemory;
use checkers_core::pool;
use checkers_core::sync::lock;
use kernel_fd::Errno;
use kernel_fd::fork::{Generation, Home};
use libaio_sys::{Context, Quota, Remains};
use std::sync::{Mutex, MutexGuard};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long [`await_quota`] waits at most: enough for destroyers to start on a loaded machine.
const MOMENT: Duration = Duration::from_millis(20);

/// How often [`await_quota`] checks, after a first time at once.
const STEP: Duration = Duration::from_micros(50);

static PARKED: Mutex<Parked> = Mutex::new(Parked {
    contexts: Vec::new(),
    promised: 0,
    remains: Vec::new(),
    unfinished: 0,
    destroyers: 0,
    home: Home::unknown(),
});

/// Contexts that are to be destroyed.
pub(crate) struct Parked {
    contexts: Vec<Context>,
    /// Contexts in use, each of which finds room in `contexts` and `remains` when its time comes: without
    /// memory it would have to be left behind, and its quota with it.
    promised: usize,
    /// Contexts parked or being destroyed, which find room in `remains`.
    unfinished: usize,
    /// Of contexts that are destroyed.
    remains: Vec<Remains>,
    /// Threads on their way to take one of `contexts` each.
    destroyers: usize,
    /// The process that those threads belong to.
    home: Home,
}

/// The lock on the parked contexts, which no caller may hold while it destroys one or starts a thread.
pub(crate) fn parked() -> MutexGuard<'static, Parked> {
    lock(&PARKED)
}

/// Sets memory aside for parking one more context, which [`destroy`] uses up.
///
/// # Errors
/// When there is none.
pub(crate) fn promise() -> Result<(), OutOfMemory> {
    parked().promise()
}

/// Gives a promise back whose context was never made.
pub(crate) fn take_back() {
    let mut parked = parked();
    parked.promised = parked.promised.saturating_sub(1);
}

/// Has `context` destroyed, soon.
pub(crate) fn destroy(context: Context) {
    if !context.is_here() {
        // A parent's: forgotten.
        return;
    }
    let refused = parked().add(context);
    if let Some(context) = refused {
        log::warn!("directio: out of memory, an io context may stay behind");
        // Destroyed on the spot unless requests are in flight.
        drop(context);
    }
    retry();
}

/// Waits a moment until the quota of contexts that are being destroyed is back, for a host that is about
/// to make new ones.
pub(crate) fn await_quota(mut contexts: Vec<Quota>) {
    let start = Instant::now();
    loop {
        contexts.retain(|context| !context.is_returned());
        if contexts.is_empty() || start.elapsed() >= MOMENT {
            return;
        }
        sleep(STEP);
    }
}

/// Starts a destroyer for each parked context that has none, and frees what earlier ones have left.
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
    /// A child process has neither the contexts of its parent nor the threads.
    fn begin_anew_in_a_child(&mut self) {
        if self.home.has_changed(Generation::current().ok()) {
            self.contexts.retain(Context::is_here);
            self.promised = 0;
            self.unfinished = self.contexts.len();
            self.destroyers = 0;
        }
    }

    fn promise(&mut self) -> Result<(), OutOfMemory> {
        self.begin_anew_in_a_child();
        let room = self.promised.saturating_add(1);
        let remains = room.saturating_add(self.unfinished);
        self.contexts.try_reserve(room).map_err(|_| OutOfMemory)?;
        self.remains.try_reserve(remains).map_err(|_| OutOfMemory)?;
        self.promised = room;
        Ok(())
    }

    /// Parks a context; gives it back when there is no memory for that, which a promise rules out.
    fn add(&mut self, context: Context) -> Option<Context> {
        self.begin_anew_in_a_child();
        self.promised = self.promised.saturating_sub(1);
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

    /// Takes a context out that nothing is in flight in, and that has no destroyer.
    fn take_idle(&mut self) -> Option<Context> {
        if self.contexts.len() <= self.destroyers {
            return None;
        }
        let idle = |context: &mut Context| {
            // What cannot be asked counts as in flight.
            let _ = context.reap(|_| {});
            context.is_idle()
        };
        let at = self.contexts.iter_mut().position(idle)?;
        self.unfinished = self.unfinished.saturating_sub(1);
        Some(self.contexts.swap_remove(at))
    }

    /// Keeps what a destroyer has left, which does not allocate; gives it back when there is no room, which
    /// a promise rules out.
    fn keep(&mut self, remains: Remains) -> Option<Remains> {
        self.unfinished = self.unfinished.saturating_sub(1);
        if self.remains.len() == self.remains.capacity() {
            return Some(remains);
        }
        self.remains.push(remains);
        None
    }
}

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
        // Calls of other tests free it as well.
        let _alone = crate::groups::tests::alone();
        for _ in 0..3 {
            let contexts = [(); 2].map(|()| {
                promise().unwrap();
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

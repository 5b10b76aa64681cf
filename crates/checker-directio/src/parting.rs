//! Destroying AIO contexts without waiting for them.
//!
//! `io_destroy` gives the context's `fs.aio-max-nr` quota back first of all. Then it sleeps in the
//! kernel: until every request of the context has completed, which on a dead device is never, and
//! for a grace period of the kernel in any case, some 30 ms. So each context that is no longer needed
//! goes to a thread of its own, which does that sleeping; quota comes back as soon as the thread has
//! started, buffers when the device has answered.

use checkers_core::memory::try_push;
use checkers_core::pool;
use checkers_core::sync::lock;
use kernel_fd::Errno;
use libaio_sys::Context;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

static PARKED: Mutex<Parked> = Mutex::new(Parked {
    contexts: Vec::new(),
    undertakers: 0,
});

/// Signalled when the last undertaker has got to work.
static GONE: Condvar = Condvar::new();

/// How long a reset waits for quota that is about to come back, at most.
const MOMENT: Duration = Duration::from_millis(2);

/// How long it takes from counting oneself gone to being in the kernel, most of the time.
const STEP: Duration = Duration::from_micros(50);

struct Parked {
    contexts: Vec<Context>,
    /// Threads on their way to take one of `contexts` each.
    undertakers: usize,
}

/// Destroys `context`, soon.
pub(crate) fn part_with(context: Context) {
    let mut parked = lock(&PARKED);
    if try_push(&mut parked.contexts, context).is_err() {
        // It has been dropped: destroyed on the spot, or left behind with its requests in flight.
        log::warn!("directio: out of memory, an io context may stay behind");
    }
    parked.send_undertakers();
}

/// Tries again to find threads for contexts that got none.
pub(crate) fn retry() {
    lock(&PARKED).send_undertakers();
}

/// Waits until the threads that give quota back have got to work, a moment at most.
pub(crate) fn await_quota() {
    let parked = lock(&PARKED);
    if parked.undertakers == 0 {
        return;
    }
    let gone = GONE.wait_timeout_while(parked, MOMENT, |parked| parked.undertakers > 0);
    drop(gone.unwrap_or_else(PoisonError::into_inner));
    std::thread::sleep(STEP);
}

impl Parked {
    fn send_undertakers(&mut self) {
        while self.undertakers < self.contexts.len() {
            if let Err(error) = pool::spawn(bury_one) {
                // The error's own text would have to be allocated.
                let errno = Errno(error.raw_os_error().unwrap_or(0));
                log::warn!("directio: no thread to release an io context: {errno}");
                return;
            }
            self.undertakers += 1;
        }
    }
}

fn bury_one() {
    let mut parked = lock(&PARKED);
    parked.undertakers -= 1;
    if parked.undertakers == 0 {
        GONE.notify_all();
    }
    let context = parked.contexts.pop();
    drop(parked);
    if let Some(context) = context {
        context.drain_and_destroy();
    }
}

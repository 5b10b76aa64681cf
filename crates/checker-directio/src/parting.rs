//! Destroying AIO contexts without waiting for them.
//!
//! `io_destroy` gives the context's `fs.aio-max-nr` quota back first of all. Then it sleeps in the
//! kernel: until every request of the context has completed, which on a dead device is never, and for
//! a grace period in any case, some 30 ms. So each context is left to a thread of its own, which does
//! that sleeping; buffers come back when it is over.

use checkers_core::memory::try_push;
use checkers_core::pool;
use checkers_core::sync::lock;
use kernel_fd::Errno;
use libaio_sys::{Context, Trace};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long quota is waited for that is about to come back: until threads have started, on a machine
/// with better things to do.
const MOMENT: Duration = Duration::from_millis(20);

/// How often is looked. The first look comes at once.
const STEP: Duration = Duration::from_micros(50);

static PARKED: Mutex<Parked> = Mutex::new(Parked {
    contexts: Vec::new(),
    undertakers: 0,
});

struct Parked {
    contexts: Vec<Context>,
    /// Threads on their way to take one of `contexts` each.
    undertakers: usize,
}

/// Has `context` destroyed, soon.
pub(crate) fn part_with(context: Context) {
    let mut parked = lock(&PARKED);
    if try_push(&mut parked.contexts, context).is_err() {
        // It has been dropped: destroyed on the spot unless requests are in flight.
        log::warn!("directio: out of memory, an io context may stay behind");
    }
    parked.send_undertakers();
}

/// Waits a moment until the quota of contexts that were parted with is back, for a host that is about
/// to make new ones.
pub(crate) fn await_quota(mut parted: Vec<Trace>) {
    let start = Instant::now();
    loop {
        parted.retain(|context| !context.is_gone());
        if parted.is_empty() || start.elapsed() >= MOMENT {
            return;
        }
        sleep(STEP);
    }
}

/// Tries again to find threads for contexts that got none.
pub(crate) fn retry() {
    lock(&PARKED).send_undertakers();
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
    let context = parked.contexts.pop();
    drop(parked);
    if let Some(context) = context {
        context.drain_and_destroy();
    }
}

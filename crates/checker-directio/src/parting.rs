//! Destroying AIO contexts without waiting for their devices.
//!
//! `io_destroy` sleeps in the kernel until every request of the context has completed, which on a
//! dead device is never. A context that still has requests in flight is therefore left to a thread of
//! its own, which does that sleeping; its `fs.aio-max-nr` quota and its buffers come back when the
//! device answers.

use checkers_core::memory::try_push;
use checkers_core::pool;
use checkers_core::sync::lock;
use kernel_fd::Errno;
use libaio_sys::Context;
use std::sync::Mutex;

static PARKED: Mutex<Parked> = Mutex::new(Parked {
    contexts: Vec::new(),
    undertakers: 0,
});

struct Parked {
    contexts: Vec<Context>,
    /// Threads on their way to take one of `contexts` each.
    undertakers: usize,
}

/// Destroys `context`: at once when the kernel is done with it, else as soon as it is.
pub(crate) fn part_with(mut context: Context) {
    // An error here leaves requests in flight, which the next step sees.
    let _ = context.reap(|_| {});
    let Err(context) = context.destroy() else {
        return;
    };
    let mut parked = lock(&PARKED);
    if try_push(&mut parked.contexts, context).is_err() {
        log::warn!("directio: out of memory, an io context with requests in flight stays behind");
    }
    parked.send_undertakers();
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

//! Waiting for completions without holding the context.

use crate::bindings::{aio_context_t, io_event};
use crate::{Errno, calls};
use kernel_fd::fork::Generation;
use std::time::Duration;

/// How many completions one wait brings at most.
const BATCH: usize = 128;

/// Permission to wait for a [`Context`](crate::Context)'s completions; see
/// [`Context::waiter`](crate::Context::waiter).
#[derive(Debug)]
#[must_use = "a context is not destroyed before its waiters have been given back"]
pub struct Waiter {
    pub(crate) id: aio_context_t,
    pub(crate) serial: usize,
    pub(crate) generation: Generation,
}

impl Waiter {
    /// Waits until at least one request of the context has completed, or `timeout` has passed, and
    /// brings what there is. Hand it to [`Context::accept`](crate::Context::accept): completions
    /// that are dropped instead leave their requests in flight for ever.
    ///
    /// # Errors
    /// `EINTR` when a signal ended the wait: wait again with the time left. `EINVAL` in a child
    /// process, to which the context does not belong.
    pub fn wait(&self, timeout: Duration) -> Result<Events, Errno> {
        if !self.generation.is_here() {
            return Err(Errno(libc::EINVAL));
        }
        let mut events = Events {
            serial: self.serial,
            count: 0,
            events: [io_event::default(); BATCH],
        };
        events.count = calls::io_getevents(self.id, 1, &mut events.events, timespec(timeout))?;
        Ok(events)
    }
}

/// What a [`Waiter`] brought, for its context's eyes only.
#[derive(Debug)]
#[must_use = "the completions are lost unless the context accepts them"]
pub struct Events {
    pub(crate) serial: usize,
    count: usize,
    events: [io_event; BATCH],
}

impl Events {
    /// How many completions there are; 0 when the time was up.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether the time was up.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &io_event> {
        self.events.iter().take(self.count)
    }
}

/// The kernel's form of a time span; one too long to express is as long as can be.
fn timespec(span: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(span.as_secs()).unwrap_or(libc::time_t::MAX),
        // Below 1 000 000 000, which fits any C long.
        tv_nsec: span.subsec_nanos() as libc::c_long,
    }
}

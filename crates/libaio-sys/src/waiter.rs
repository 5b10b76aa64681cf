// SPDX-License-Identifier: LGPL-2.0-or-later

//! Waiting for completions without holding the context.

#![forbid(unsafe_code)]

use crate::bindings::io_event;
use crate::identity::Identity;
use crate::{Errno, calls};
use std::time::Duration;

/// How many completions one wait returns at most.
const BATCH: usize = 128;

/// Permission to wait for the completions of a [`Context`](crate::Context); see
/// [`Context::waiter`](crate::Context::waiter).
#[derive(Debug)]
#[must_use = "a context is not destroyed before its waiters have been released"]
pub struct Waiter {
    pub(crate) of: Identity,
}

impl Waiter {
    /// Waits until at least one request of the context has completed, or `timeout` has passed, and
    /// returns the completions so far, up to 128. Pass them to [`Context::accept`](crate::Context::accept):
    /// if they are dropped instead, their requests stay in flight for ever.
    ///
    /// # Errors
    /// `EINTR` when a signal ended the wait: wait again with the time left. `EINVAL` in a child process, to
    /// which the context does not belong.
    pub fn wait(&self, timeout: Duration) -> Result<Events, Errno> {
        if !self.of.is_here() {
            return Err(Errno(libc::EINVAL));
        }
        let mut events = Events {
            of: self.of,
            count: 0,
            events: [io_event::default(); BATCH],
        };
        events.count = calls::io_getevents(self.of.id, 1, &mut events.events, timespec(timeout))?;
        Ok(events)
    }
}

/// The completions that a [`Waiter`] returned, readable only for its context.
#[derive(Debug)]
#[must_use = "the completions are lost unless the context accepts them"]
pub struct Events {
    pub(crate) of: Identity,
    count: usize,
    events: [io_event; BATCH],
}

impl Events {
    /// How many completions there are; 0 when the time had passed.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none, the time having passed.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &io_event> {
        self.events.iter().take(self.count)
    }
}

/// The kernel's form of a time span; one that is too long to express becomes the longest.
fn timespec(span: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(span.as_secs()).unwrap_or(libc::time_t::MAX),
        // Below 1 000 000 000, which fits any C long.
        tv_nsec: span.subsec_nanos() as libc::c_long,
    }
}

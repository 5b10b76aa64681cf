//! Waiting for a request, for callers that may.

use crate::group::Stage;
use crate::groups::{Groups, Place, groups};
use checkers_core::{Monotonic, Spin};
use kernel_fd::Strerror;
use libaio_sys::{Events, Waiter};
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::Duration;

/// Signalled whenever a sleeper has come back from the kernel and others wait for that.
static BACK: Condvar = Condvar::new();

/// What came of looking at the ring for a moment before going to sleep.
static SPIN: Spin = Spin::new();

/// Waits until the request in `place` is no longer in flight, at most for `limit`, and takes its
/// answer.
///
/// The lock on the groups is not held meanwhile, and of several callers that wait on one group one
/// sleeps in the kernel and takes in the others' events as well.
pub(crate) fn wait(place: Place, limit: Duration, clock: fn() -> Monotonic) -> Option<Stage> {
    let end = clock().plus(limit);
    let mut guard = groups();
    let mut patient = !SPIN.pays();
    loop {
        let group = guard.of(place)?;
        group.reap();
        if group.stage(place.index()) != Stage::InFlight {
            return group.collect(place.index());
        }
        let left = clock().until(end);
        if left.is_zero() {
            return None;
        }
        if !patient {
            patient = true;
            drop(guard);
            SPIN.until(|| has_ended(place));
            guard = groups();
            continue;
        }
        match group.begin_wait() {
            None => {
                guard.waiting += 1;
                let woken = BACK.wait_timeout(guard, left);
                guard = woken.unwrap_or_else(PoisonError::into_inner).0;
                guard.waiting -= 1;
            }
            Some(waiter) => {
                drop(guard);
                let events = waiter.wait(left);
                guard = take_in(place, waiter, events)?;
            }
        }
    }
}

/// Whether the request in `place` is no longer in flight, by a look at the ring.
fn has_ended(place: Place) -> bool {
    groups().of(place).is_none_or(|group| {
        group.reap();
        group.stage(place.index()) != Stage::InFlight
    })
}

/// Hands a sleeper's events to the group. `None` when there is no point in going on.
fn take_in(
    place: Place,
    waiter: Waiter,
    events: Result<Events, kernel_fd::Errno>,
) -> Option<MutexGuard<'static, Groups>> {
    let mut guard = groups();
    let group = guard.of(place)?;
    group.end_wait(waiter);
    let go_on = match events {
        Ok(events) => {
            group.accept(events);
            true
        }
        // A signal is no reason to give a path up before its time.
        Err(errno) if errno.0 == libc::EINTR => true,
        Err(errno) => {
            log::trace!("directio: async io getevents returned {}", Strerror(errno));
            false
        }
    };
    if guard.waiting > 0 {
        BACK.notify_all();
    }
    go_on.then_some(guard)
}

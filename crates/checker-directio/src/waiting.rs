//! Waiting for a request, for callers that may.

use crate::group::Stage;
use crate::groups::{Groups, Place, groups};
use checkers_core::Monotonic;
use kernel_fd::Strerror;
use libaio_sys::{Events, Waiter};
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::Duration;

/// To sleep for less would take longer: a timer's slack alone is 50 µs, for a thread without real-time
/// priority.
const BRIEF: Duration = Duration::from_micros(2);

/// Signalled when a sleeper has come back from the kernel, or a worker has submitted a request, and
/// somebody waits for that.
static BACK: Condvar = Condvar::new();

/// Wakes those up who wait for a worker.
pub(crate) fn submitted() {
    wake_waiting(&groups());
}

/// To notify nobody would be a system call, too.
fn wake_waiting(groups: &Groups) {
    if groups.waiting > 0 {
        BACK.notify_all();
    }
}

/// Waits until the request in `place` has ended, at most until `end`, and takes its answer.
///
/// The lock on the groups is not held meanwhile, and of several callers that wait on one group one
/// sleeps in the kernel and takes in the others' events as well.
pub(crate) fn wait(place: Place, end: Monotonic, clock: fn() -> Monotonic) -> Option<Stage> {
    let mut guard = groups();
    loop {
        let group = guard.of(place)?;
        let answer = group.take(place.index());
        let stage = group.stage(place.index());
        if answer.is_some() || !stage.is_under_way() {
            return answer;
        }
        let left = clock().until(end);
        if left.is_zero() {
            return None;
        }
        // A submission that fails brings no event, so it is the worker that is waited for.
        let sleeps = stage == Stage::InFlight;
        if sleeps && left <= BRIEF {
            drop(guard);
            std::hint::spin_loop();
            guard = groups();
            continue;
        }
        match sleeps.then(|| group.begin_wait()).flatten() {
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
    wake_waiting(&guard);
    go_on.then_some(guard)
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Waiting for the result of a read, for callers that may.

use crate::groups::{PROGRESS, groups};
use crate::kernel::{Events, Waiter};
use crate::place::Place;
use crate::read::{Holder, Outcome, Read};
use checkers_core::Monotonic;
use checkers_core::sync::broken;
use checkers_core::sync::thread::{sleep, spin_loop};
use kernel_fd::{Errno, Strerror};
use std::sync::PoisonError;
use std::time::Duration;

/// A sleep of less than this would take longer: the slack of a timer alone is 50 µs, for a thread without
/// real-time priority.
const BRIEF: Duration = Duration::from_micros(2);

/// A pause between waits that signals end one after the other.
const PAUSE: Duration = Duration::from_millis(1);

/// How long a caller waits, over any number of waits.
pub(crate) struct Patience {
    limit: Duration,
    clock: fn() -> Monotonic,
    end: Option<Monotonic>,
}

impl Patience {
    /// A limit whose time begins with the first wait.
    pub(crate) fn new(limit: Duration, clock: fn() -> Monotonic) -> Patience {
        Patience {
            limit,
            clock,
            end: None,
        }
    }

    /// Starts the time. Most callers find the result at once and need not read the clock.
    fn begin(&mut self) {
        self.end = Some((self.clock)().plus(self.limit));
    }

    /// How much is left.
    fn left(&self) -> Duration {
        self.end.map_or(self.limit, |end| (self.clock)().until(end))
    }
}

/// Waits until the read of the path in `place` has ended, as long as `patience` lasts, and takes its result.
///
/// The lock on the groups is not held meanwhile. Of several callers that wait on one group, one sleeps in the
/// kernel and records the events of the others as well.
pub(crate) fn wait(place: Place, patience: &mut Patience) -> Option<Outcome> {
    let mut interrupted = false;
    loop {
        // The clock is read before the result: a process may be stopped between the two for longer than the
        // limit, and the read completes meanwhile.
        let left = patience.left();
        let mut guard = groups();
        let group = guard.of(place)?;
        let result = group.poll(place.index);
        let Read::Awaited(holder) = group.read(place.index) else {
            return result;
        };
        if left.is_zero() {
            return None;
        }
        if patience.end.is_none() {
            drop(guard);
            patience.begin();
            continue;
        }
        // A submission that fails brings no event, so it is the worker that is waited for.
        let sleeps = matches!(holder, Holder::Kernel { .. });
        if sleeps && left <= BRIEF {
            drop(guard);
            spin_loop();
            continue;
        }
        match sleeps.then(|| group.begin_wait()).flatten() {
            None => {
                guard.waiting += 1;
                let woken = PROGRESS.wait_timeout(guard, left);
                let mut guard = woken.unwrap_or_else(PoisonError::into_inner).0;
                guard.waiting -= 1;
            }
            Some(waiter) => {
                drop(guard);
                let events = waiter.wait(left);
                match record(place, waiter, events)? {
                    Wait::Ended => interrupted = false,
                    // Signals that never cease must not keep a processor busy.
                    Wait::Interrupted if interrupted => sleep(left.min(PAUSE)),
                    Wait::Interrupted => interrupted = true,
                }
            }
        }
    }
}

/// How a sleep in the kernel ended.
enum Wait {
    Ended,
    /// By a signal, which does not end the time of the path.
    Interrupted,
}

/// Passes the events of a sleep to the group. `None` when there is no point in going on.
fn record(place: Place, waiter: Waiter, events: Result<Events, Errno>) -> Option<Wait> {
    let mut guard = groups();
    let group = guard.of(place)?;
    group.end_wait(waiter);
    let ended = match events {
        Ok(events) => {
            group.accept(events);
            Some(Wait::Ended)
        }
        Err(Errno(libc::EINTR)) => Some(Wait::Interrupted),
        Err(errno) => {
            log::trace!("directio: async io getevents returned {}", Strerror(errno));
            None
        }
    };
    if !broken("a caller that has slept wakes no other") {
        guard.wake_waiting();
    }
    ended
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;
    use crate::groups::tests::alone;
    use crate::groups::{self, begin, join, leave};
    use std::cell::Cell;
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::sync::mpsc;
    use std::time::Instant;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn one_sleeper_wakes_the_other_callers() {
        let _alone = alone();
        let file = File::open("/proc/self/exe").unwrap();
        let places = [(); 2].map(|()| {
            let place = join().unwrap();
            groups::set_block_size(place, 512);
            place
        });
        // In flight, and not submitted yet.
        let begin = |place| begin(place, false, Monotonic::default(), |_, begun| Ok(begun));
        let begun = places.map(|place| begin(place).unwrap());
        let (done, results) = mpsc::channel();
        for place in places {
            let done = done.clone();
            std::thread::spawn(move || {
                let mut patience = Patience::new(Duration::from_secs(3600), kernel_fd::monotonic);
                done.send(wait(place, &mut patience)).unwrap();
            });
        }
        let give_up = Instant::now() + LONG;
        while groups().waiting == 0 {
            assert!(
                Instant::now() < give_up,
                "both sleep in the kernel, or none"
            );
        }
        for (place, submission) in places.into_iter().zip(begun) {
            let submitted = submission.submit(file.as_raw_fd());
            let settled = groups()
                .of(place)
                .unwrap()
                .settle(place.index, false, submitted);
            assert_eq!(settled, Ok(None));
        }
        let both = [(); 2].map(|()| results.recv_timeout(LONG));
        assert_eq!(both, [Ok(Some(Outcome::Complete)); 2]);
        for place in places {
            leave(place);
        }
    }

    thread_local!(static NOW: Cell<u64> = const { Cell::new(100) });

    fn clock() -> Monotonic {
        NOW.set(NOW.get() + 1);
        Monotonic {
            seconds: NOW.get(),
            nanos: 0,
        }
    }

    #[test]
    fn patience_runs_out_once_it_has_begun() {
        let mut patience = Patience::new(Duration::from_secs(3), clock);
        let before = NOW.get();
        assert_eq!(patience.left().as_secs(), 3);
        assert_eq!(NOW.get(), before, "the clock is not read");
        patience.begin();
        let left = [(); 4].map(|()| patience.left().as_secs());
        assert_eq!(left, [2, 1, 0, 0]);
    }
}

//! Waiting for a request, for callers that may.

use crate::group::Stage;
use crate::groups::{Groups, groups};
use crate::place::Place;
use checkers_core::Monotonic;
use kernel_fd::{Errno, Strerror};
use libaio_sys::{Events, Waiter};
use std::sync::{Condvar, PoisonError};
use std::thread::sleep;
use std::time::Duration;

/// To sleep for less would take longer: a timer's slack alone is 50 µs, for a thread without real-time
/// priority.
const BRIEF: Duration = Duration::from_micros(2);

/// A pause between waits that signals end one after the other.
const PAUSE: Duration = Duration::from_millis(1);

/// Signalled when a sleeper has come back from the kernel, or a worker has submitted a request, and
/// another thread waits for that.
static BACK: Condvar = Condvar::new();

/// Wakes the threads that wait for a worker.
pub(crate) fn submitted() {
    wake_waiting(&groups());
}

/// Without a waiting thread a notification would still be a system call.
fn wake_waiting(groups: &Groups) {
    if groups.waiting > 0 {
        BACK.notify_all();
    }
}

/// How long a caller waits, over any number of waits.
pub(crate) struct Patience {
    limit: Duration,
    clock: fn() -> Monotonic,
    end: Option<Monotonic>,
}

impl Patience {
    pub(crate) fn new(limit: Duration, clock: fn() -> Monotonic) -> Patience {
        Patience {
            limit,
            clock,
            end: None,
        }
    }

    /// From now on it runs out. Most callers find the result at once and need not read the clock.
    fn begin(&mut self) {
        self.end = Some((self.clock)().plus(self.limit));
    }

    /// How much is left.
    fn left(&self) -> Duration {
        self.end.map_or(self.limit, |end| (self.clock)().until(end))
    }
}

/// Waits until the request in `place` has ended, as long as `patience` lasts, and takes its result.
///
/// The lock on the groups is not held meanwhile, and of several callers that wait on one group one
/// sleeps in the kernel and takes in the others' events as well.
pub(crate) fn wait(place: Place, patience: &mut Patience) -> Option<Stage> {
    let mut interrupted = false;
    loop {
        // The clock comes before the result: a process may be stopped between the two for longer than
        // the limit, and the read completes meanwhile.
        let left = patience.left();
        let mut guard = groups();
        let group = guard.of(place)?;
        let result = group.take(place.index);
        let stage = group.stage(place.index);
        if result.is_some() || !stage.is_in_flight() {
            return result;
        }
        if left.is_zero() {
            return None;
        }
        if patience.end.is_none() {
            drop(guard);
            patience.begin();
            continue;
        }
        // A submission that fails brings no event, so it is the worker that is waited for.
        let sleeps = stage == Stage::InFlight;
        if sleeps && left <= BRIEF {
            drop(guard);
            std::hint::spin_loop();
            continue;
        }
        match sleeps.then(|| group.begin_wait()).flatten() {
            None => {
                guard.waiting += 1;
                let woken = BACK.wait_timeout(guard, left);
                let mut guard = woken.unwrap_or_else(PoisonError::into_inner).0;
                guard.waiting -= 1;
            }
            Some(waiter) => {
                drop(guard);
                let events = waiter.wait(left);
                match take_in(place, waiter, events)? {
                    Wait::Ended => interrupted = false,
                    // Signals that never cease must not cost a processor.
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
    /// By a signal, which is no reason to give a path up before its time.
    Interrupted,
}

/// Hands a sleeper's events to the group. `None` when there is no point in going on.
fn take_in(place: Place, waiter: Waiter, events: Result<Events, Errno>) -> Option<Wait> {
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
    wake_waiting(&guard);
    ended
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::tests::alone;
    use crate::groups::{begin, join, leave};
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
            let mut groups = groups();
            groups.of(place).unwrap().set_block_size(place.index, 512);
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
            let settled = groups().of(place).unwrap().settle(place.index, submitted);
            assert_eq!(settled, Ok(None));
        }
        let both = [(); 2].map(|()| results.recv_timeout(LONG));
        assert_eq!(both, [Ok(Some(Stage::Read)); 2]);
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

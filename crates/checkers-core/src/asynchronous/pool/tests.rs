// SPDX-License-Identifier: LGPL-2.0-or-later

//! Pools of a test's own, each with a limited supply of threads.

#![forbid(unsafe_code)]

use super::thread::spawn_with_std;
use super::*;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

/// A pool of the test's own: how many threads it may start, and how many have been asked for.
macro_rules! pool {
    ($pool:ident, $supply:ident) => {
        static $supply: AtomicI32 = AtomicI32::new(0);
        static $pool: Pool = Pool::new(
            |body| match $supply.fetch_sub(1, SeqCst) {
                1.. => spawn_with_std(body),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            },
            || $pool.start_workers(),
            || $pool.work(),
        );
    };
}

/// Counts its runs, and hangs while held.
struct Counter {
    held: AtomicBool,
    begun: AtomicUsize,
}

impl Counter {
    const fn new(held: bool) -> Counter {
        Counter {
            held: AtomicBool::new(held),
            begun: AtomicUsize::new(0),
        }
    }

    fn begun(&self) -> usize {
        self.begun.load(SeqCst)
    }
}

impl Job for Counter {
    fn run(&'static self) -> Option<&'static Condvar> {
        self.begun.fetch_add(1, SeqCst);
        while self.held.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }
}

fn within(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "never happened");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_job_waits_for_the_thread_that_is_to_be_had_later() {
    pool!(LATER, SUPPLY);
    static HUNG: Counter = Counter::new(true);
    static JOB: Counter = Counter::new(false);
    SUPPLY.store(2, SeqCst);
    LATER.submit(&HUNG).unwrap();
    within(|| HUNG.begun() == 1);
    LATER.submit(&JOB).unwrap();
    within(|| SUPPLY.load(SeqCst) <= -3);
    assert_eq!(JOB.begun(), 0);
    SUPPLY.store(1, SeqCst);
    within(|| JOB.begun() == 1);
    assert_eq!(LATER.lock().workers.alive, 2, "attempts count as workers");
    HUNG.held.store(false, SeqCst);
}

#[test]
fn without_starter_and_free_worker_a_job_is_refused() {
    pool!(NONE, SUPPLY);
    static JOB: Counter = Counter::new(false);
    assert!(NONE.submit(&JOB).is_err());
    assert!(NONE.lock().queue.is_empty());
    // A starter without a worker: the job is queued.
    SUPPLY.store(1, SeqCst);
    NONE.submit(&JOB).unwrap();
    assert!(NONE.withdraw(&JOB));
    assert!(!NONE.withdraw(&JOB));
    SUPPLY.store(1, SeqCst);
    NONE.submit(&JOB).unwrap();
    within(|| JOB.begun() == 1);
    assert!(!NONE.withdraw(&JOB));
}

#[test]
fn a_free_worker_is_enough_for_one_job_each() {
    pool!(FREE, SUPPLY);
    static FIRST: Counter = Counter::new(false);
    static HUNG: Counter = Counter::new(true);
    SUPPLY.store(2, SeqCst);
    FREE.submit(&FIRST).unwrap();
    within(|| FIRST.begun() == 1);
    // The starter ends, the worker stays.
    within(|| {
        let mut state = FREE.lock();
        let asleep = state.workers.asleep == 1 && state.starter == Starter::Asleep;
        if asleep {
            state.starter = Starter::Absent;
        }
        asleep
    });
    assert_eq!(FREE.lock().workers.alive, 1);
    FREE.submit(&HUNG).unwrap();
    within(|| HUNG.begun() == 1);
    assert!(FREE.submit(&FIRST).is_err());
    HUNG.held.store(false, SeqCst);
    within(|| FREE.lock().workers.asleep == 1);
    FREE.submit(&FIRST).unwrap();
    within(|| FIRST.begun() == 2);
}

/// A job that is waited for.
struct Awaited {
    ended: Mutex<bool>,
    signal: Condvar,
}

impl Job for Awaited {
    fn run(&'static self) -> Option<&'static Condvar> {
        *lock(&self.ended) = true;
        Some(&self.signal)
    }
}

#[test]
fn the_thread_that_waits_for_a_job_is_signalled_whatever_follows() {
    pool!(BUSY, SUPPLY);
    static FIRST: Counter = Counter::new(true);
    static JOB: Awaited = Awaited {
        ended: Mutex::new(false),
        signal: Condvar::new(),
    };
    static NEXT: Counter = Counter::new(true);
    SUPPLY.store(2, SeqCst);
    for followed in [true, false] {
        FIRST.held.store(true, SeqCst);
        BUSY.submit(&FIRST).unwrap();
        let begun = 1 + usize::from(!followed);
        within(|| FIRST.begun() == begun);
        BUSY.submit(&JOB).unwrap();
        if followed {
            BUSY.submit(&NEXT).unwrap();
        }
        let mut ended = lock(&JOB.ended);
        FIRST.held.store(false, SeqCst);
        // The worker needs the lock for the job, so the signal cannot come before the wait.
        while !*ended {
            let (woken, slept) = JOB
                .signal
                .wait_timeout(ended, Duration::from_secs(20))
                .unwrap();
            assert!(!slept.timed_out(), "never signalled");
            ended = woken;
        }
        *ended = false;
        drop(ended);
        NEXT.held.store(false, SeqCst);
    }
}

#[test]
fn an_idle_worker_takes_jobs_while_the_starter_waits_for_a_thread() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    static BLOCKED: AtomicBool = AtomicBool::new(true);
    static HUNG: Counter = Counter::new(true);
    static JOB: Counter = Counter::new(false);
    // The third thread does not come before the system has memory for it.
    static SLOW: Pool = Pool::new(
        |body| {
            if CALLS.fetch_add(1, SeqCst) == 2 {
                while BLOCKED.load(SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            spawn_with_std(body)
        },
        || SLOW.start_workers(),
        || SLOW.work(),
    );
    SLOW.submit(&HUNG).unwrap();
    within(|| HUNG.begun() == 1);
    SLOW.submit(&JOB).unwrap();
    within(|| CALLS.load(SeqCst) == 3);
    HUNG.held.store(false, SeqCst);
    within(|| SLOW.lock().workers.asleep == 1);
    let start = Instant::now();
    SLOW.submit(&JOB).unwrap();
    within(|| JOB.begun() == 2);
    assert!(
        start.elapsed() < IDLE / 2,
        "found when the worker was to end"
    );
    BLOCKED.store(false, SeqCst);
}

#[test]
fn a_dismissed_starter_does_not_leave_a_job_behind() {
    pool!(LEAVING, SUPPLY);
    static HUNG: Counter = Counter::new(true);
    static JOB: Counter = Counter::new(false);
    SUPPLY.store(1000, SeqCst);
    LEAVING.submit(&HUNG).unwrap();
    within(|| HUNG.begun() == 1);
    within(|| LEAVING.lock().starter == Starter::Asleep);
    // Both at once, before the starter wakes.
    let mut state = LEAVING.lock();
    state.dismissals += 1;
    state.queue.push(&JOB);
    let signal = LEAVING.alert(&mut state);
    drop(state);
    LEAVING.signal(signal);
    within(|| JOB.begun() == 1);
    HUNG.held.store(false, SeqCst);
}

#[test]
fn room_is_made_for_all_jobs_together() {
    pool!(ROOM, SUPPLY);
    for jobs in 1..100 {
        ROOM.make_room().unwrap();
        assert!(ROOM.lock().queue.capacity() >= jobs);
    }
    assert_eq!(SUPPLY.load(SeqCst), 0);
}

#[test]
fn a_process_that_cannot_notice_forks_keeps_its_jobs_and_threads() {
    pool!(UNAWARE, SUPPLY);
    static JOB: Counter = Counter::new(false);
    let mut state = lock(&UNAWARE.state);
    for here in [None, Generation::current().ok()] {
        state.enter_process(here);
        (state.workers.alive, state.starter) = (1, Starter::Asleep);
        state.queue.push(&JOB);
        state.enter_process(here);
        state.enter_process(None);
        assert_eq!((state.workers.alive, state.queue.len()), (1, 1), "{here:?}");
        assert!(state.starter == Starter::Asleep);
        assert!(state.queue.remove(&JOB));
    }
    assert_eq!(SUPPLY.load(SeqCst), 0);
}

#[test]
fn threads_end_when_dismissed_while_idle_or_busy() {
    pool!(SHORT, SUPPLY);
    static JOB: Counter = Counter::new(true);
    let all_gone = || {
        let state = SHORT.lock();
        state.workers.alive == 0 && state.starter == Starter::Absent
    };
    for round in 1..=2 {
        JOB.held.store(true, SeqCst);
        // The starter and one worker, so that no second one begins after the dismissal.
        SUPPLY.store(2, SeqCst);
        SHORT.submit(&JOB).unwrap();
        within(|| JOB.begun() == round);
        if round == 1 {
            SHORT.dismiss_idle();
        }
        JOB.held.store(false, SeqCst);
        if round == 2 {
            within(|| SHORT.lock().workers.asleep == 1);
            SHORT.dismiss_idle();
        }
        within(all_gone);
    }
}

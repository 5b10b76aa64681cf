// SPDX-License-Identifier: LGPL-2.0-or-later

//! What a scene needs in one schedule: threads that are counted, and devices that hang.

#![forbid(unsafe_code)]

use checkers_core::pool::{self, POOL};
use checkers_core::sync::{Condvar, Mutex, Options, chance, lock, thread};
use std::cell::{Cell, RefCell};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, PoisonError};

/// Sets what schedules may do from now on.
pub(crate) fn set_options(options: Options) {
    OPTIONS.set(Some(options));
}

/// The threads of the schedule's pool that have not ended.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    // shuttle runs all threads of a schedule on one.
    static OPTIONS: Cell<Option<Options>> = const { Cell::new(None) };
    static FAILING: Cell<u32> = const { Cell::new(0) };
    static FAILURE: Cell<Option<&'static str>> = const { Cell::new(None) };
    static GATE: RefCell<Option<Arc<Gate>>> = const { RefCell::new(None) };
}

/// How often the end is looked for.
const MAX_ROUNDS: u32 = 20_000;

/// Begins a schedule.
pub(crate) fn begin(failing_spawns: u32) {
    pool::set_spawner(spawn);
    ALIVE.store(0, SeqCst);
    FAILING.set(failing_spawns);
    FAILURE.set(None);
    GATE.set(Some(Arc::new(Gate::new())));
}

/// Whether long waits of this schedule never time out.
pub(crate) fn endless_waits() -> bool {
    OPTIONS
        .get()
        .is_some_and(|options| options.endless.is_some())
}

fn spawn(body: fn()) -> io::Result<()> {
    if chance(FAILING.get()) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    ALIVE.fetch_add(1, SeqCst);
    thread::spawn(move || {
        body();
        ALIVE.fetch_sub(1, SeqCst);
    });
    Ok(())
}

/// Waits until all threads of the pool have ended and `done` is true.
///
/// # Panics
/// When that does not happen.
pub(crate) fn all_threads_end(done: impl Fn() -> bool) {
    for round in 0.. {
        if ALIVE.load(SeqCst) == 0 && done() {
            break;
        }
        assert!(round < MAX_ROUNDS, "threads do not end, or a slot is lost");
        if round % 50 == 0 {
            POOL.dismiss_idle();
        }
        thread::yield_now();
    }
    if let Some(failure) = FAILURE.take() {
        panic!("{failure}");
    }
}

/// Fails the schedule at its end unless `holds`. For code whose panics the product catches.
pub(crate) fn require(holds: bool, failure: &'static str) {
    if !holds {
        FAILURE.set(Some(failure));
    }
}

/// What hanging devices wait for.
pub(crate) struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

/// The gate of this schedule.
pub(crate) fn gate() -> Arc<Gate> {
    GATE.with_borrow(|gate| Arc::clone(gate.as_ref().expect("only in a schedule")))
}

impl Gate {
    pub(crate) fn new() -> Gate {
        Gate {
            open: Mutex::new(false),
            opened: Condvar::new(),
        }
    }

    pub(crate) fn open(&self) {
        *lock(&self.open) = true;
        self.opened.notify_all();
    }

    pub(crate) fn is_open(&self) -> bool {
        *lock(&self.open)
    }

    /// Hangs until the gate is open.
    pub(crate) fn pass(&self) {
        let mut open = lock(&self.open);
        while !*open {
            open = self
                .opened
                .wait(open)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

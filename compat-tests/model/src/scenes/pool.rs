// SPDX-License-Identifier: LGPL-2.0-or-later

//! Hosts submit jobs, some of which hang until all others have ended.

use crate::schedule::{Gate, all_threads_end, begin, endless_waits};
use checkers_core::SlotCache;
use checkers_core::pool::{Job, POOL};
use checkers_core::sync::{Condvar, Mutex, below, chance, lock, thread};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// A job.
struct Work {
    state: Mutex<Option<Ordered>>,
    ended: Condvar,
}

/// What a job is to do, until it has ended.
struct Ordered {
    hang: Option<Arc<Gate>>,
    running: bool,
    awaited: bool,
}

impl Job for Work {
    fn run(&'static self) -> Option<&'static Condvar> {
        let hang = {
            let mut state = lock(&self.state);
            let ordered = state.as_mut().expect("a job runs that was not submitted");
            assert!(!ordered.running, "a job runs twice");
            ordered.running = true;
            ordered.hang.take()
        };
        match hang {
            Some(gate) => gate.pass(),
            None => (0..below(3)).for_each(|_| thread::yield_now()),
        }
        let ordered = lock(&self.state).take();
        ordered.is_some_and(|it| it.awaited).then_some(&self.ended)
    }
}

impl Work {
    fn new(_: &'static SlotCache<Work>) -> Work {
        Work {
            state: Mutex::new(None),
            ended: Condvar::new(),
        }
    }

    /// Waits for the end as a host does: as long as threads may be lacking, with a limit for each wait.
    fn finish(&'static self, spawns_fail: bool) {
        let mut state = lock(&self.state);
        while let Some(ordered) = state.as_mut() {
            ordered.awaited = true;
            state = if spawns_fail && !endless_waits() {
                let woken = self.ended.wait_timeout(state, Duration::from_secs(2));
                woken.unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.ended
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner)
            };
        }
    }
}

fn host(
    cache: &'static SlotCache<Work>,
    gate: &Arc<Gate>,
    spawns_fail: bool,
) -> Vec<&'static Work> {
    let mut hung = Vec::new();
    for _ in 0..1 + below(3) {
        let mut healthy = Vec::new();
        for _ in 0..1 + below(3) {
            let job = cache.take(Work::new).expect("memory");
            let hangs = chance(25);
            *lock(&job.state) = Some(Ordered {
                hang: hangs.then(|| Arc::clone(gate)),
                running: false,
                awaited: false,
            });
            if POOL.submit(job).is_err() {
                *lock(&job.state) = None;
                cache.put_back(job);
            } else if hangs {
                hung.push(job);
            } else if chance(10) && POOL.withdraw(job) {
                *lock(&job.state) = None;
                cache.put_back(job);
            } else {
                healthy.push(job);
            }
        }
        if chance(30) {
            POOL.prepare_spare();
        }
        for job in healthy {
            job.finish(spawns_fail);
            cache.put_back(job);
        }
        if chance(20) {
            POOL.dismiss_idle();
        }
    }
    hung
}

/// Runs the scene.
pub(crate) fn run(failing_spawns: u32) {
    begin(failing_spawns);
    let gate = Arc::new(Gate::new());
    let cache = POOL.slots::<Work>().expect("memory");
    let spawns_fail = failing_spawns > 0;
    let hosts: Vec<_> = (0..3)
        .map(|_| {
            let gate = Arc::clone(&gate);
            thread::spawn(move || host(cache, &gate, spawns_fail))
        })
        .collect();
    let hung: Vec<_> = hosts
        .into_iter()
        .flat_map(|host| host.join().expect("a host"))
        .collect();
    gate.open();
    for job in hung {
        job.finish(spawns_fail);
        cache.put_back(job);
    }
    all_threads_end(|| cache.in_use() == 0);
}

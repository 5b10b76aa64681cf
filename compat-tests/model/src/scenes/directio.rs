// SPDX-License-Identifier: LGPL-2.0-or-later

//! Hosts check paths of devices by directio. Some devices hang, until all hosts have made their checks; one
//! cannot tell in advance whether it would have to wait. A read of a device has a size of its own, so that the
//! result of one that goes to another path is noticed.

use crate::schedule::{all_threads_end, begin, endless_waits};
use checker_directio::{Directio, Failure, model};
use checkers_core::sync::{self, below, chance, lock, thread};
use checkers_core::{
    Call, Checker, Delivery, MapMemory, Mode, Monotonic, PathState, Reported, Seconds, Verdict,
};
use std::sync::Arc;
use std::time::Duration;

/// Devices below this number may hang.
const HANGING: u32 = 2;

/// How many devices there are: the last one is a file that cannot tell in advance whether it would have to wait.
const DEVICES: u32 = 4;

fn clock() -> Monotonic {
    let now = sync::now();
    Monotonic {
        seconds: now.as_secs(),
        nanos: now.subsec_nanos(),
    }
}

/// What the threads of a schedule share.
struct Shared {
    spawns_fail: bool,
    /// The devices do not hang any more.
    released: sync::Mutex<bool>,
    /// All contexts have been destroyed.
    finished: sync::Mutex<bool>,
}

/// One path from `init` to `free`.
fn path(device: u32, shared: &Shared) {
    let mut call = Call {
        fd: sync::open(device),
        timeout: Seconds(5),
        mode: Mode::Async,
        delivery: match chance(50) {
            true => Delivery::InCheck,
            false => Delivery::Pending,
        },
        path_state: PathState::Unchecked,
        map: MapMemory::Absent,
        clock,
    };
    let init = Directio::init(&call);
    let mut checker = init.instance.expect("memory");
    let allowed = |checker: &Directio, Reported { verdict, .. }: Reported| {
        let known = [
            PathState::Up,
            PathState::Down,
            PathState::Pending,
            PathState::Unchecked,
        ];
        assert!(known.contains(&verdict.state), "{verdict:?}");
        // A path may be late, and its read not submitted. No device fails.
        let failure = checker.failure();
        assert!(
            !matches!(failure, Some(Failure::Error(_) | Failure::Short)),
            "the result of another read: {failure:?}"
        );
    };
    for _ in 0..1 + below(3) {
        let healthy = device >= HANGING || *lock(&shared.released);
        if healthy && chance(40) {
            call.mode = Mode::Sync;
            let reported = checker.check(&call);
            allowed(&checker, reported);
            // Where no wait times out, no read is late. A worker for one that was refused may be lacking.
            let unchecked = shared.spawns_fail && reported.verdict.state == PathState::Unchecked;
            assert!(!endless_waits() || unchecked || reported.verdict == Verdict::UP);
            call.mode = Mode::Async;
            continue;
        }
        let reported = checker.check(&call);
        allowed(&checker, reported);
        if !endless_waits() && chance(30) {
            sync::pass(Duration::from_secs(6));
        }
        for _ in 0..below(4) {
            if checker.need_wait() {
                thread::yield_now();
            }
            let reported = checker.pending(&call);
            allowed(&checker, reported);
        }
    }
    checker.free(&call);
    sync::close(call.fd);
}

/// Completes reads until all contexts have been destroyed.
fn devices(shared: &Shared) {
    while !*lock(&shared.finished) {
        model::complete_one();
        thread::yield_now();
    }
}

/// Runs the scene.
pub(crate) fn run(failing_spawns: u32) {
    begin(failing_spawns);
    model::begin((0..HANGING).filter(|_| chance(60)));
    let shared = Arc::new(Shared {
        spawns_fail: failing_spawns > 0,
        released: sync::Mutex::new(false),
        finished: sync::Mutex::new(false),
    });
    let completing = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || devices(&shared))
    };
    let hosts: Vec<_> = (0..2)
        .map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for _ in 0..2 {
                    path(below(DEVICES as usize) as u32, &shared);
                }
                if chance(20) {
                    Directio::reset();
                }
            })
        })
        .collect();
    if chance(50) {
        path(2, &shared);
    }
    model::release();
    *lock(&shared.released) = true;
    path(below(DEVICES as usize) as u32, &shared);
    for host in hosts {
        host.join().expect("a host");
    }
    // Contexts with orphans are destroyed as soon as these have ended.
    all_threads_end(|| {
        Directio::reset();
        model::contexts() == 0
    });
    *lock(&shared.finished) = true;
    completing.join().expect("the devices");
    assert_eq!(model::violations(), Vec::<&str>::new());
    assert_eq!(sync::open(0), 0, "a descriptor stays open");
}

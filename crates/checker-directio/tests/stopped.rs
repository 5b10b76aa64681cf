//! A process that is stopped between two statements, for longer than the time limit, while its read
//! completes: the result counts, not the clock.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use checkers_core::{Delivery, Mode, Monotonic, PathState, Seconds, Verdict};
use common::{Path, descriptors, eventually, pipe, until_submitting};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::Mutex;

/// What happens while the process is stopped: the device answers, and this many descriptors are left when
/// the worker has closed its own.
static STOP: Mutex<Option<(File, usize)>> = Mutex::new(None);

static NOW: Mutex<u64> = Mutex::new(0);

/// The next time that the clock is read, the process has been stopped just before.
fn clock() -> Monotonic {
    let mut now = NOW.lock().unwrap();
    if let Some((mut device, left)) = STOP.lock().unwrap().take() {
        device.write_all(&[0; 4096]).unwrap();
        drop(device);
        eventually(|| (descriptors() <= left).then_some(()));
        *now += 1000;
    }
    Monotonic {
        seconds: *now,
        nanos: 0,
    }
}

#[test]
fn a_read_that_has_completed_is_up() {
    for (mode, delivery) in [
        (Mode::Async, Delivery::Pending),
        (Mode::Async, Delivery::InCheck),
        (Mode::Sync, Delivery::Pending),
    ] {
        let (device, from) = pipe();
        let open = descriptors();
        let mut path = Path::new(from.as_raw_fd(), clock);
        assert_eq!(path.check().state, PathState::Pending);
        until_submitting(1);
        path.call.mode = mode;
        path.call.delivery = delivery;
        path.call.timeout = Seconds(1);
        *STOP.lock().unwrap() = Some((device.try_clone().unwrap(), open));
        let verdict = match (mode, delivery) {
            (Mode::Async, Delivery::Pending) => path.pending(),
            _ => path.check(),
        };
        assert_eq!(verdict, Verdict::UP, "{mode:?} {delivery:?}");
        path.free();
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! A process that is stopped between two statements, for longer than the time limit, while its read
//! completes: the result counts, not the clock.

use crate::support::{Path, alone, descriptors, eventually, pipe, until_submitting};
use checkers_core::{Delivery, Mode, Monotonic, PathState, Seconds, Verdict};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::Mutex;

/// How often the clock is read before the process is stopped, and what happens meanwhile: the device
/// completes the read, and this many descriptors are left when the worker has closed its own.
static STOP: Mutex<Option<(u32, File, usize)>> = Mutex::new(None);

static NOW: Mutex<u64> = Mutex::new(0);

/// The process has been stopped just before the clock is read.
fn clock() -> Monotonic {
    let mut now = NOW.lock().unwrap();
    let mut stop = STOP.lock().unwrap();
    if let Some((reads @ 1.., ..)) = stop.as_mut() {
        *reads -= 1;
    } else if let Some((_, mut device, left)) = stop.take() {
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
    alone(module_path!(), "a_read_that_has_completed_is_up", || {
        for (mode, delivery, reads) in [
            (Mode::Async, Delivery::Pending, 0),
            (Mode::Async, Delivery::InCheck, 0),
            (Mode::Async, Delivery::InCheck, 1),
            (Mode::Sync, Delivery::Pending, 0),
            (Mode::Sync, Delivery::Pending, 1),
        ] {
            let (device, from) = pipe();
            let open = descriptors();
            let mut path = Path::new(from.as_raw_fd(), clock);
            assert_eq!(path.check().state, PathState::Pending);
            until_submitting(1);
            path.call.mode = mode;
            path.call.delivery = delivery;
            path.call.timeout = Seconds(1);
            *STOP.lock().unwrap() = Some((reads, device.try_clone().unwrap(), open));
            let verdict = match (mode, delivery) {
                (Mode::Async, Delivery::Pending) => path.pending(),
                _ => path.check(),
            };
            assert_eq!(verdict, Verdict::UP, "{mode:?} {delivery:?} {reads}");
            assert!(STOP.lock().unwrap().is_none());
            path.free();
        }
    });
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! A host that takes the verdict from `check`, once per second: the time limit is in calls.

use crate::support::{Path, alone, eventually, pipe, until_submitting};
use checkers_core::{Delivery, PathState, Seconds, Verdict};
use std::io::Write;
use std::os::fd::AsRawFd;

#[test]
fn the_limit_is_in_calls_where_the_host_does_not_poll() {
    alone(
        module_path!(),
        "the_limit_is_in_calls_where_the_host_does_not_poll",
        || {
            let (mut to, from) = pipe();
            let mut path = Path::new(from.as_raw_fd(), kernel_fd::monotonic);
            path.call.delivery = Delivery::InCheck;
            path.call.timeout = Seconds(2);
            assert_eq!(path.check().state, PathState::Pending);
            // A read that no worker has begun would be unchecked.
            until_submitting(1);
            let states = [(); 3].map(|()| path.check().state);
            let expected = [PathState::Pending, PathState::Down, PathState::Down];
            assert_eq!(states, expected);
            to.write_all(&[0; 4096]).unwrap();
            eventually(|| (path.check() == Verdict::UP).then_some(()));
            // The next read has the whole limit.
            until_submitting(0);
            assert_eq!(path.check().state, PathState::Pending);
            until_submitting(1);
            let states = [(); 2].map(|()| path.check().state);
            assert_eq!(states, [PathState::Pending, PathState::Down]);
            to.write_all(&[0; 4096]).unwrap();
            path.free();
        },
    );
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Files without direct I/O, which cannot be checked.

use crate::support::{Path, alone, contexts};
use checker_directio::Directio;
use checkers_core::{Checker, InitError};
use std::fs::File;
use std::os::fd::AsRawFd;

#[test]
fn a_path_that_is_not_made_takes_no_place_in_a_context() {
    alone(
        module_path!(),
        "a_path_that_is_not_made_takes_no_place_in_a_context",
        || {
            let file = tempfile::tempfile().unwrap();
            let mut path = Path::new(file.as_raw_fd(), kernel_fd::monotonic);
            let null = File::open("/dev/null").unwrap();
            path.call.fd = null.as_raw_fd();
            // As many as a context has places.
            for _ in 0..1024 {
                // There is no direct I/O.
                let refused = Directio::init(&path.call).instance.err();
                assert!(matches!(refused, Some(InitError::Os(libc::EINVAL))));
            }
            path.call.fd = file.as_raw_fd();
            Path::new(file.as_raw_fd(), kernel_fd::monotonic).free();
            path.free();
            assert_eq!(contexts(), 1);
        },
    );
}

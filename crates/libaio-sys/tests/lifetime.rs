// SPDX-License-Identifier: LGPL-2.0-or-later

//! What a context leaves when it is dropped. One test, so that the process has no other contexts.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test")]

use libaio_sys::Context;
use std::fs::File;
use std::os::fd::AsRawFd;

/// How many contexts this process has.
fn contexts() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains("/[aio]")).count()
}

#[test]
fn nothing_is_left_when_nothing_is_in_flight() {
    let file = File::open(std::env::current_exe().unwrap()).unwrap();
    assert_eq!(contexts(), 0);

    // A buffered read completes at once; its completion has not been taken when the context is dropped.
    let mut context = Context::new(4).unwrap();
    context.submit_read(file.as_raw_fd(), 512, 1).unwrap();
    assert_eq!((contexts(), context.in_flight()), (1, 1));
    drop(context);
    assert_eq!(contexts(), 0);

    let mut context = Context::new(4).unwrap();
    context.submit_read(file.as_raw_fd(), 512, 1).unwrap();
    let mut context = context.destroy().expect_err("in flight as far as it knows");
    assert_eq!(context.reap(|_| {}), Ok(1));
    context.destroy().unwrap();
    assert_eq!(contexts(), 0);

    let mut context = Context::new(4).unwrap();
    context.submit_read(file.as_raw_fd(), 512, 1).unwrap();
    drop(context.drain_and_destroy());
    assert_eq!(contexts(), 0);

    // While a waiter is out, the context stays.
    let mut context = Context::new(4).unwrap();
    let waiter = context.waiter();
    drop(context.drain_and_destroy());
    assert_eq!(contexts(), 1);
    drop(waiter);
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! A completion that is taken after the thread that submitted the request has ended.
//!
//! The event names the address of the request's `iocb`. The kernel does not read that again, but valgrind
//! does when `io_getevents` has returned: under it this test shows that the `iocb` still exists.

use libaio_sys::Context;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

/// The C library unmaps so large a stack when its thread ends.
const STACK: usize = 256 << 20;

#[test]
fn a_completion_outlives_the_submitting_thread() {
    let file = File::open(std::env::current_exe().unwrap()).unwrap();
    let mut context = Context::new(4).unwrap();
    let submit = move || {
        context.submit_read(file.as_raw_fd(), 512, 1).unwrap();
        context
    };
    let submitter = thread::Builder::new().stack_size(STACK).spawn(submit);
    let mut context = submitter.unwrap().join().unwrap();
    let waiter = context.waiter();
    let events = waiter.wait(Duration::from_secs(20)).unwrap();
    let mut tokens = Vec::new();
    context.accept(events, |completion| tokens.push(completion.token));
    context.release(waiter);
    assert_eq!(tokens, [1]);
}

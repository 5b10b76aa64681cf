// SPDX-License-Identifier: LGPL-2.0-or-later

//! A child process with a context of its parent.

use libaio_sys::{Completion, Context, Errno};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::os::fd::AsRawFd;
use std::time::Duration;

#[test]
fn a_child_process_leaves_its_parents_completions_alone() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(512).unwrap();
    let mut context = Context::new(4).unwrap();
    context.submit_read(file.as_raw_fd(), 512, 1).unwrap();
    // SAFETY: the child of a process with several threads may only do what is safe in a signal handler. It
    // makes system calls, frees what `context` holds on the heap (which glibc and musl allow after fork), and
    // ends by _exit.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let submit = context.submit_read(file.as_raw_fd(), 512, 2);
            let reap = context.reap(|_| {});
            let waiter = context.waiter();
            let wait = waiter.wait(Duration::ZERO).map(|_| ());
            drop(context.drain_and_destroy());
            let refused = Err(Errno(libc::EINVAL));
            let right = submit == refused && wait == refused && reap == Ok(0);
            // SAFETY: ends the child at once, without the parent's clean-up.
            unsafe { libc::_exit(i32::from(!right)) }
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
        }
    }
    let mut seen = Vec::new();
    context.reap(|completion| seen.push(completion)).unwrap();
    let expected = Completion {
        token: 1,
        res: 512,
        res2: 0,
    };
    assert_eq!(seen, [expected]);
    context.destroy().unwrap();
}

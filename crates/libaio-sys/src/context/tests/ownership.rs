// SPDX-License-Identifier: LGPL-2.0-or-later

//! What keeps a context, and what a drop or a destruction leaves.

#![forbid(unsafe_code)]

use super::*;

#[test]
fn a_quota_is_returned_when_the_context_is_destroyed() {
    // A context of another test may get the same number in between.
    assert!((0..100).any(|_| {
        let context = Context::new(1).unwrap();
        let quota = context.quota();
        assert!(!quota.is_returned());
        drop(context);
        quota.is_returned()
    }));
}

#[test]
fn a_waiter_keeps_the_context_and_the_ring_alone() {
    let file = file(512);
    let mut context = Context::new(4).unwrap();
    let waiter = context.waiter();
    context.submit_read(file.as_raw_fd(), 512, 1).unwrap();
    // By system call: the kernel alone moves the head.
    assert_eq!(reaped(&mut context), [completion(1, 512)]);
    let mut context = context.destroy().unwrap_err();
    context.submit_read(file.as_raw_fd(), 512, 2).unwrap();
    context.release(waiter);
    assert_eq!(reaped(&mut context), [completion(2, 512)]);
    context.destroy().unwrap();
}

#[test]
fn a_submission_keeps_the_context_and_may_be_overtaken_by_its_completion() {
    let file = file(512);
    let mut context = Context::new(4).unwrap();
    let submission = context.begin(512, 1);
    let mut context = context.destroy().unwrap_err();
    assert_eq!(context.in_flight(), 1);
    let submitted = submission.submit(file.as_raw_fd());
    assert_eq!(reaped(&mut context), [completion(1, 512)]);
    let mut context = context.destroy().unwrap_err();
    assert_eq!(context.settle(submitted), Ok(()));

    let submitted = context.begin(512, 2).submit(-1);
    assert_eq!(context.in_flight(), 1);
    assert_eq!(context.settle(submitted), Err(Errno(libc::EBADF)));
    assert_eq!(context.in_flight(), 0);
    context.destroy().unwrap();
}

#[test]
fn a_part_of_another_context_changes_nothing() {
    let file = file(512);
    let (mut one, mut two) = (Context::new(4).unwrap(), Context::new(4).unwrap());
    one.submit_read(file.as_raw_fd(), 512, 1).unwrap();
    two.submit_read(file.as_raw_fd(), 512, 2).unwrap();
    let waiter = one.waiter();
    let events = waiter.wait(LONG).unwrap();
    two.accept(events, |completion| {
        panic!("{completion:?} is not of this context")
    });
    two.release(waiter);
    assert_eq!((one.waiters, two.waiters), (1, 0));
    let submitted = two.begin(512, 3).submit(-1);
    assert_eq!(one.settle(submitted), Err(Errno(libc::EINVAL)));
    assert_eq!((one.submissions, two.submissions), (0, 1));
    assert_eq!((one.in_flight(), two.in_flight()), (1, 2));
    assert_eq!(reaped(&mut two), [completion(2, 512)]);
}

#[test]
fn a_drop_with_a_request_in_flight_neither_waits_nor_unmaps() {
    let (socket, mut end) = UnixStream::pair().unwrap();
    let mut context = Context::new(4).unwrap();
    let id = context.identity.id;
    context.submit_poll(socket.as_raw_fd(), 1).unwrap();
    let context = context.destroy().unwrap_err();
    let start = Instant::now();
    drop(context);
    assert!(start.elapsed() < Duration::from_secs(5));
    // The kernel's context is still there: it delivers the completion of the request.
    end.write_all(b"x").unwrap();
    let mut events = [io_event::default(); 2];
    let wait = libc::timespec {
        tv_sec: 20,
        tv_nsec: 0,
    };
    assert_eq!(calls::io_getevents(id, 1, &mut events, wait), Ok(1));
}

#[test]
fn draining_ends_requests_that_the_kernel_can_cancel() {
    let (socket, _end) = UnixStream::pair().unwrap();
    let mut context = Context::new(4).unwrap();
    context.submit_poll(socket.as_raw_fd(), 1).unwrap();
    assert!(context.drain_and_destroy()._context.destroyed);
}

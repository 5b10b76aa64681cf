// SPDX-License-Identifier: LGPL-2.0-or-later

//! Completions: their numbers, order and errors, and waiting for them.

#![forbid(unsafe_code)]

use super::*;

#[test]
fn the_ring_of_this_kernel_is_understood() {
    assert!(Context::new(1).unwrap().kernel.ring().is_some());
}

#[test]
fn reads_are_counted_in_bytes_with_and_without_the_ring() {
    let file = file(6000);
    for mut context in [
        Context::new(8).unwrap(),
        Context::new(8).unwrap().without_ring(),
    ] {
        assert_eq!(reaped(&mut context), []);
        // A buffered read completes before io_submit returns.
        context.submit_read(file.as_raw_fd(), 4096, 1).unwrap();
        context.submit_read(file.as_raw_fd(), 512, 2).unwrap();
        context
            .submit_read(file.as_raw_fd(), 65_536, u64::MAX)
            .unwrap();
        assert_eq!(context.in_flight(), 3);
        assert_eq!(
            reaped(&mut context),
            [
                completion(1, 4096),
                completion(2, 512),
                completion(u64::MAX, 6000)
            ]
        );
        assert_eq!(context.in_flight(), 0);
        assert_eq!(reaped(&mut context), []);
        context.destroy().unwrap();
    }
}

#[test]
fn errors_of_submission_leave_nothing_in_flight() {
    let mut context = Context::new(4).unwrap();
    let unreadable = File::options().write(true).open("/dev/null").unwrap();
    let directory = File::open("/").unwrap();
    for (fd, errno) in [
        (-1, libc::EBADF),
        (unreadable.as_raw_fd(), libc::EBADF),
        (directory.as_raw_fd(), libc::EINVAL),
    ] {
        assert_eq!(context.submit_read(fd, 512, 0), Err(Errno(errno)));
    }
    assert_eq!(context.submit_read(-1, 1 << 20, 0), Err(Errno(libc::EBADF)));
    assert_eq!(
        context.submit_read(-1, usize::MAX, 0),
        Err(Errno(libc::ENOMEM))
    );
    assert_eq!(context.in_flight(), 0);
    assert_eq!(Context::new(0).err(), Some(Errno(libc::EINVAL)));
}

#[test]
fn many_rounds_wrap_the_ring() {
    let file = file(512);
    let mut context = Context::new(3).unwrap();
    for round in 0..5000 {
        for n in 0..=round % 3 {
            context
                .submit_read(file.as_raw_fd(), 512, round * 4 + n)
                .unwrap();
        }
        let expected: Vec<_> = (0..=round % 3)
            .map(|n| completion(round * 4 + n, 512))
            .collect();
        assert_eq!(reaped(&mut context), expected, "round {round}");
    }
}

#[test]
fn a_wait_ends_with_the_time_or_with_a_completion() {
    let (socket, mut end) = UnixStream::pair().unwrap();
    let mut context = Context::new(4).unwrap();
    context.submit_poll(socket.as_raw_fd(), 9).unwrap();
    let waiter = context.waiter();
    let start = Instant::now();
    assert!(waiter.wait(Duration::from_millis(30)).unwrap().is_empty());
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert!(waiter.wait(Duration::ZERO).unwrap().is_empty());

    let other = std::thread::spawn(move || (waiter.wait(LONG), waiter));
    std::thread::sleep(Duration::from_millis(30));
    end.write_all(b"x").unwrap();
    let (events, waiter) = other.join().unwrap();
    let events = events.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(context.in_flight(), 1, "not before the events are accepted");
    let mut seen = Vec::new();
    context.accept(events, |completion| seen.push(completion.token));
    assert_eq!((seen, context.in_flight()), (vec![9], 0));
    context.release(waiter);
    context.destroy().unwrap();
}

#[test]
fn an_event_that_comes_twice_counts_once() {
    let (socket, _end) = UnixStream::pair().unwrap();
    let file = file(512);
    let mut context = Context::new(4).unwrap();
    context.submit_read(file.as_raw_fd(), 512, 1).unwrap();
    let waiter = context.waiter();
    let events = waiter.wait(LONG).unwrap();
    let event = *events.iter().next().unwrap();
    context.accept(events, |_| {});
    // The same slot, in use again when the old event turns up a second time.
    context.submit_poll(socket.as_raw_fd(), 2).unwrap();
    assert_eq!(complete(&mut context.requests, &event, &mut |_| {}), 0);
    assert_eq!(context.in_flight(), 1);
    context.release(waiter);
}

#[test]
fn the_newest_completion_can_be_seen_and_stays() {
    let (wait, mut go) = UnixStream::pair().unwrap();
    let file = file(4096);
    let mut context = Context::new(4).unwrap();
    assert_eq!(context.newest(), None);
    context.submit_poll(wait.as_raw_fd(), 1).unwrap();
    assert_eq!(context.newest(), None, "still in flight");
    // A buffered read has ended when its submission returns.
    context.submit_read(file.as_raw_fd(), 512, 2).unwrap();
    context.submit_read(file.as_raw_fd(), 4096, 3).unwrap();
    for _ in 0..2 {
        assert_eq!(context.newest(), Some(completion(3, 4096)));
    }
    let waiter = context.waiter();
    assert_eq!(context.newest(), None, "a waiter is out");
    context.release(waiter);
    assert_eq!(
        reaped(&mut context),
        [completion(2, 512), completion(3, 4096)]
    );
    assert_eq!(context.newest(), None);
    go.write_all(b"x").unwrap();
    context.finish_all();
    let mut unreadable = context.without_ring();
    unreadable.submit_read(file.as_raw_fd(), 512, 4).unwrap();
    assert_eq!(unreadable.newest(), None);
    assert_eq!(reaped(&mut unreadable), [completion(4, 512)]);
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The memory of requests, and what the kernel reads and writes there.

#![forbid(unsafe_code)]

use super::*;

#[test]
fn a_context_holds_as_many_as_it_was_made_for_and_memory_follows() {
    let (socket, mut end) = UnixStream::pair().unwrap();
    let mut context = Context::new(1024).unwrap();
    for token in 0..1024 {
        context.submit_poll(socket.as_raw_fd(), token).unwrap();
    }
    assert_eq!(
        context.submit_poll(socket.as_raw_fd(), 0),
        Err(Errno(libc::EAGAIN))
    );
    assert_eq!((context.in_flight(), context.mapped_blocks()), (1024, 1024));
    assert_eq!(reaped(&mut context), []);
    end.write_all(b"x").unwrap();
    let mut tokens: Vec<_> = context.finish_all().iter().map(|seen| seen.token).collect();
    tokens.sort_unstable();
    assert!(tokens.into_iter().eq(0..1024));
    context.shrink();
    context.unmap_unused();
    assert_eq!(context.mapped_blocks(), 1024, "needed until now");
    context.shrink();
    context.unmap_unused();
    assert_eq!(context.mapped_blocks(), 0);
    context.submit_poll(socket.as_raw_fd(), 7).unwrap();
    assert_eq!(context.mapped_blocks(), 1, "one path costs one page");
    context.finish_all();
    context.trim();
    context.unmap_unused();
    assert_eq!(context.mapped_blocks(), 0);
}

#[test]
fn memory_that_is_missing_is_supplied_once() {
    let file = file(4096);
    let mut context = Context::new(2).unwrap();
    let missing = context.missing(512).unwrap().expect("nothing is mapped");
    assert_eq!(context.begin_read(512, 0).unwrap_err(), Errno(libc::ENOMEM));
    let (one, two) = (missing.map().unwrap(), missing.map().unwrap());
    assert!(context.supply(one).is_none());
    assert!(context.supply(two).is_some(), "mapped by another thread");
    for token in 0..2 {
        context.submit_read(file.as_raw_fd(), 512, token).unwrap();
    }
    assert!(!context.is_ready(512), "full");
    assert_eq!(context.missing(512), Ok(None));
    assert_eq!(reaped(&mut context).len(), 2);
    assert!(context.is_ready(512) && !context.is_ready(4097));
    assert_eq!(context.missing(512), Ok(None));
    assert!(context.missing(4097).unwrap().is_some());
    context.trim();
    context.unmap_unused();
    assert!(context.missing(512).unwrap().is_some());
}

/// The kernel and tools that follow system calls find the request where the event says.
#[test]
fn a_request_stays_at_the_address_in_its_event() {
    let file = file(65_536);
    let mut context = Context::new(4).unwrap();
    for length in [512, 65_536] {
        let submission = context.begin(length, 1);
        let (key, block) = (submission.key.0, submission.block);
        let submitted = submission.submit(file.as_raw_fd());
        context.settle(submitted).unwrap();
        let waiter = context.waiter();
        let events = waiter.wait(LONG).unwrap();
        let obj = events.iter().next().unwrap().obj;
        assert_eq!(obj, block.request.addr().get() as u64);
        let request = block.iocb();
        assert_eq!(request.aio_data, key);
        assert_eq!(request.aio_nbytes, length as u64);
        context.accept(events, |_| {});
        context.release(waiter);
    }
}

#[test]
fn the_kernel_writes_to_the_buffer_of_the_request() {
    let file = file(8192);
    let content: Vec<u8> = (0..8192).map(|n| (n % 251) as u8).collect();
    let writable = File::options()
        .write(true)
        .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .unwrap();
    writable.write_all_at(&content, 0).unwrap();
    let mut context = Context::new(4).unwrap();
    for length in [4096, 8192] {
        let submission = context.begin(length, 1);
        let block = submission.block;
        let submitted = submission.submit(file.as_raw_fd());
        context.settle(submitted).unwrap();
        // A buffered read has completed by now, and the request still owns its buffer.
        let read = block.bytes(length);
        assert!(read == content[..length], "{length} bytes");
        assert_eq!(reaped(&mut context), [completion(1, length as i64)]);
    }
}

#[test]
fn memory_that_the_kernel_may_use_outlives_the_context() {
    for length in [512, 65_536] {
        for drained in [false, true] {
            let mut context = Context::new(4).unwrap();
            let missing = context.missing(length).unwrap().unwrap();
            assert!(context.supply(missing.map().unwrap()).is_none());
            let submission = context.begin_read(length, 1).unwrap();
            match drained {
                true => drop(context.drain_and_destroy()),
                false => drop(context),
            }
            assert!(submission.block.is_mapped(), "{length} {drained}");
        }
    }
}

//! The context against the running kernel.

use super::*;
use crate::arena::Block;
use crate::bindings::{IOCB_CMD_POLL, iocb};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);

/// A file of `size` bytes without a name.
fn file(size: u64) -> File {
    let path = std::env::temp_dir().join(format!(
        "libaio-sys-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let file = File::create_new(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.set_len(size).unwrap();
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap()
}

impl Context {
    /// Starts a request that ends when there is something to read from `fd`: it hangs as long as
    /// the test wants. It has a buffer, though the kernel does not write to it.
    fn submit_poll(&mut self, fd: RawFd, token: u64) -> Result<(), Errno> {
        if let Some(lack) = self.lacks(4096)? {
            self.supply(lack.map()?);
        }
        let submission = self.begin_read(4096, token)?;
        let mut request = submission.request(fd, 0);
        request.aio_lio_opcode = IOCB_CMD_POLL as u16;
        // A poll has its mask in place of a buffer, and no length.
        request.aio_buf = libc::POLLIN as u64;
        request.aio_nbytes = 0;
        let submitted = submission.put(request);
        self.settle(submitted)
    }

    /// [`Context::begin_read`] with what has to be mapped for it.
    fn begin(&mut self, length: usize, token: u64) -> Submission {
        if let Some(lack) = self.lacks(length).unwrap() {
            assert!(self.supply(lack.map().unwrap()).is_none());
        }
        self.begin_read(length, token).unwrap()
    }

    fn unmap_unused(&mut self) {
        while self.take_unused().is_some() {}
    }

    /// Forgets the ring, as if the kernel's were not understood.
    fn without_ring(mut self) -> Context {
        self.ring = None;
        self
    }

    /// Everything that completes until nothing is in flight, by waiting for it.
    fn finish_all(&mut self) -> Vec<Completion> {
        let mut seen = Vec::new();
        let give_up = Instant::now() + LONG;
        while self.in_flight() > 0 {
            assert!(Instant::now() < give_up, "still in flight after {LONG:?}");
            let waiter = self.waiter();
            let events = waiter.wait(Duration::from_millis(100)).unwrap();
            self.accept(events, |completion| seen.push(completion));
            self.release(waiter);
        }
        seen
    }
}

fn reaped(context: &mut Context) -> Vec<Completion> {
    let mut seen = Vec::new();
    let count = context.reap(|completion| seen.push(completion)).unwrap();
    assert_eq!(count, seen.len());
    seen
}

fn completion(token: u64, res: i64) -> Completion {
    Completion {
        token,
        res,
        res2: 0,
    }
}

#[test]
fn this_kernels_ring_is_understood() {
    assert!(Context::new(1).unwrap().ring.is_some());
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
fn holds_as_many_as_it_was_made_for_and_memory_follows() {
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
fn a_trace_tells_when_the_context_is_gone() {
    // Another test may get the same number between the end and the question.
    assert!((0..100).any(|_| {
        let context = Context::new(1).unwrap();
        let trace = context.trace();
        assert!(!trace.is_gone());
        drop(context);
        trace.is_gone()
    }));
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
fn a_waiter_keeps_the_context_and_the_ring_alone() {
    let file = file(512);
    let mut context = Context::new(4).unwrap();
    let waiter = context.waiter();
    context.submit_read(file.as_raw_fd(), 512, 1).unwrap();
    // By system call: the kernel is the only one to move the head.
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
fn what_belongs_to_another_context_changes_nothing() {
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
    assert_eq!(hand_out(&mut context.requests, &event, &mut |_| {}), 0);
    assert_eq!(context.in_flight(), 1);
    context.release(waiter);
}

#[test]
fn a_drop_with_a_request_in_flight_neither_waits_nor_unmaps() {
    let (socket, mut end) = UnixStream::pair().unwrap();
    let mut context = Context::new(4).unwrap();
    let id = context.id;
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
    // SAFETY: the context that knew the ring is gone.
    unsafe { calls::io_destroy(id) }.unwrap();
}

#[test]
fn draining_ends_requests_that_the_kernel_can_cancel() {
    let (socket, _end) = UnixStream::pair().unwrap();
    let mut context = Context::new(4).unwrap();
    context.submit_poll(socket.as_raw_fd(), 1).unwrap();
    context.destroy_in_kernel();
    assert!(context.destroyed);
}

#[test]
fn a_cancelled_request_still_has_its_event() {
    let (socket, _end) = UnixStream::pair().unwrap();
    let id = calls::io_setup(1).unwrap();
    let mut request = iocb {
        aio_data: 5,
        aio_lio_opcode: IOCB_CMD_POLL as u16,
        aio_fildes: socket.as_raw_fd() as u32,
        aio_buf: libc::POLLIN as u64,
        ..iocb::default()
    };
    // SAFETY: a poll uses no memory but its iocb, which outlives it.
    unsafe { calls::io_submit(id, std::ptr::NonNull::from(&mut request)) }.unwrap();
    assert_eq!(
        calls::io_cancel(id, &request),
        Err(Errno(libc::EINPROGRESS))
    );
    let mut events = [io_event::default(); 2];
    let wait = libc::timespec {
        tv_sec: 20,
        tv_nsec: 0,
    };
    assert_eq!(calls::io_getevents(id, 1, &mut events, wait), Ok(1));
    assert_eq!(events[0].data, 5);
    // SAFETY: nobody has looked at the ring.
    unsafe { calls::io_destroy(id) }.unwrap();
}

#[test]
fn a_child_process_leaves_its_parents_completions_alone() {
    let file = file(512);
    let mut context = Context::new(4).unwrap();
    context.submit_read(file.as_raw_fd(), 512, 1).unwrap();
    let (mut answer, mut report) = UnixStream::pair().unwrap();
    // SAFETY: the child of a process with several threads may only do what is safe in a signal
    // handler. It makes system calls, frees what `context` holds on the heap (which glibc and musl
    // allow after fork) and leaves by _exit.
    match unsafe { libc::fork() } {
        0 => {
            let submit = context.submit_read(file.as_raw_fd(), 512, 2);
            let reap = context.reap(|_| {});
            let waiter = context.waiter();
            let wait = waiter.wait(Duration::ZERO).map(|_| ());
            drop(context.drain_and_destroy());
            let refused = Err(Errno(libc::EINVAL));
            let right = submit == refused && wait == refused && reap == Ok(0);
            let _ = report.write_all(&[u8::from(right)]);
            // SAFETY: ends the child at once, without the parent's clean-up.
            unsafe { libc::_exit(0) }
        }
        child => {
            assert!(child > 0);
            let mut right = [0];
            answer.read_exact(&mut right).unwrap();
            // SAFETY: waits for our own child, status not wanted.
            let ended = unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
            assert_eq!(ended, child);
            assert_eq!(right, [1]);
        }
    }
    assert_eq!(reaped(&mut context), [completion(1, 512)]);
    context.destroy().unwrap();
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
    assert_eq!(context.newest(), None, "the ring is the waiter's");
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

#[test]
fn what_is_missing_is_asked_for_and_taken_in_once() {
    let file = file(4096);
    let mut context = Context::new(2).unwrap();
    let lack = context.lacks(512).unwrap().expect("nothing is mapped");
    assert_eq!(context.begin_read(512, 0).unwrap_err(), Errno(libc::ENOMEM));
    let (one, two) = (lack.map().unwrap(), lack.map().unwrap());
    assert!(context.supply(one).is_none());
    assert!(context.supply(two).is_some(), "mapped by another thread");
    for token in 0..2 {
        context.submit_read(file.as_raw_fd(), 512, token).unwrap();
    }
    assert!(!context.is_ready(512), "full");
    assert_eq!(context.lacks(512), Ok(None));
    assert_eq!(reaped(&mut context).len(), 2);
    assert!(context.is_ready(512) && !context.is_ready(4097));
    assert_eq!(context.lacks(512), Ok(None));
    assert!(context.lacks(4097).unwrap().is_some());
    context.trim();
    context.unmap_unused();
    assert!(context.lacks(512).unwrap().is_some());
}

/// Whoever takes the event, the kernel included, finds the request where the event says.
#[test]
fn a_request_stays_where_its_event_says() {
    let file = file(65_536);
    let mut context = Context::new(4).unwrap();
    for length in [512, 65_536] {
        let submission = context.begin(length, 1);
        let (key, request) = (submission.key.0, submission.block.request);
        let submitted = submission.submit(file.as_raw_fd());
        context.settle(submitted).unwrap();
        let waiter = context.waiter();
        let events = waiter.wait(LONG).unwrap();
        let obj = events.iter().next().unwrap().obj;
        assert_eq!(obj, request.as_ptr().expose_provenance() as u64);
        // SAFETY: the request's own memory until the event has been accepted.
        let request = unsafe { request.read() };
        assert_eq!(request.aio_data, key);
        assert_eq!(request.aio_nbytes, length as u64);
        context.accept(events, |_| {});
        context.release(waiter);
    }
}

#[test]
fn the_kernel_writes_where_the_request_says() {
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
        let buffer = submission.block.buffer;
        let submitted = submission.submit(file.as_raw_fd());
        context.settle(submitted).unwrap();
        // SAFETY: a buffered read has completed by now, and the request still owns its buffer.
        let read = unsafe { std::slice::from_raw_parts(buffer.as_ptr(), length) };
        assert!(read == &content[..length], "{length} bytes");
        assert_eq!(reaped(&mut context), [completion(1, length as i64)]);
    }
}

#[test]
fn memory_that_the_kernel_may_use_outlives_the_context() {
    let is_mapped = |block: &Block| {
        let mut resident = [0_u8];
        let page = block.buffer.as_ptr().cast();
        // SAFETY: asks about one page, and writes one byte of ours.
        unsafe { libc::mincore(page, 1, resident.as_mut_ptr()) == 0 }
    };
    for length in [512, 65_536] {
        for drained in [false, true] {
            let mut context = Context::new(4).unwrap();
            let lack = context.lacks(length).unwrap().unwrap();
            assert!(context.supply(lack.map().unwrap()).is_none());
            let submission = context.begin_read(length, 1).unwrap();
            match drained {
                true => drop(context.drain_and_destroy()),
                false => drop(context),
            }
            assert!(is_mapped(&submission.block), "{length} {drained}");
        }
    }
}

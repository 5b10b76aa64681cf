// SPDX-License-Identifier: LGPL-2.0-or-later

//! The lower bound of asynchronous reads: one `io_submit` each, or one per batch, and completions read
//! from the ring in user memory.

use crate::protocol::Pace;
use crate::rounds::DAEMON_WAIT;
use harness::{Doing, Result};
use libaio_sys::bindings::{IOCB_CMD_PREAD, aio_context_t, io_event, iocb};
use libaio_sys::calls;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

/// How many requests share a context, as in the checkers.
const GROUP: usize = 1024;

/// Bytes per read.
const BLOCK: usize = 4096;

/// Reads of the first block of many files.
pub struct BareReads {
    files: Vec<OwnedFd>,
    /// Filled by the reads, from the first page boundary on.
    buffer: Vec<u8>,
    contexts: Vec<aio_context_t>,
    requests: Vec<iocb>,
    /// To each request.
    pointers: Vec<*mut iocb>,
    /// Requests per `io_submit`.
    batch: usize,
}

impl BareReads {
    /// For files opened with `O_DIRECT`; `batch` requests per `io_submit`.
    ///
    /// # Errors
    /// When the system's AIO events are used up.
    pub fn new(files: Vec<OwnedFd>, batch: usize) -> Result<BareReads> {
        let mut reads = BareReads {
            buffer: vec![0; (files.len() + 1) * BLOCK],
            contexts: Vec::new(),
            requests: Vec::new(),
            pointers: Vec::new(),
            batch,
            files,
        };
        for _ in reads.files.chunks(GROUP) {
            let context = calls::io_setup(GROUP as u32).map_err(std::io::Error::from);
            reads.contexts.push(context.doing("io_setup")?);
        }
        let first = reads
            .buffer
            .as_mut_ptr()
            .expose_provenance()
            .next_multiple_of(BLOCK);
        for (index, file) in reads.files.iter().enumerate() {
            reads.requests.push(iocb {
                aio_lio_opcode: IOCB_CMD_PREAD as u16,
                aio_fildes: file.as_raw_fd() as u32,
                aio_buf: (first + index * BLOCK) as u64,
                aio_nbytes: BLOCK as u64,
                ..iocb::default()
            });
        }
        // Nothing is pushed any more, so the requests stay where they are.
        reads.pointers = reads.requests.iter_mut().map(std::ptr::from_mut).collect();
        Ok(reads)
    }

    /// Submits every read and waits for the completions; `each` is given every `io_submit` to make.
    pub fn round(&mut self, pace: Pace, each: impl FnMut(&mut dyn FnMut())) {
        self.submit(each);
        let mut left = self.files.len() - self.reap();
        while left > 0 {
            match pace {
                Pace::Daemon => std::thread::sleep(DAEMON_WAIT),
                Pace::Eager => std::thread::yield_now(),
            }
            left -= self.reap();
        }
    }

    fn submit(&mut self, mut each: impl FnMut(&mut dyn FnMut())) {
        let groups = self.contexts.iter().zip(self.pointers.chunks_mut(GROUP));
        for (context, pointers) in groups {
            for batch in pointers.chunks_mut(self.batch) {
                // SAFETY: `pointers` are those of `self.requests`, and the context is one of ours.
                each(&mut || unsafe { submit(*context, batch) });
            }
        }
    }

    /// Takes the completions that have arrived from the rings; how many there were.
    fn reap(&mut self) -> usize {
        self.contexts.iter().map(|context| drain(*context)).sum()
    }
}

impl Drop for BareReads {
    fn drop(&mut self) {
        for context in &self.contexts {
            // SAFETY: `drain` does not run any more.
            let _ = unsafe { calls::io_destroy(*context) };
        }
    }
}

/// # Safety
/// `batch` must hold pointers to requests of the [`BareReads`] that owns `context`.
unsafe fn submit(context: aio_context_t, batch: &mut [*mut iocb]) {
    // SAFETY: the caller's promise; the buffers of those requests live until `Drop` has destroyed the
    // context.
    let taken = unsafe {
        libc::syscall(
            libc::SYS_io_submit,
            context,
            batch.len(),
            batch.as_mut_ptr(),
        )
    };
    assert_eq!(taken, batch.len() as libc::c_long, "io_submit");
}

/// The part of `struct aio_ring` (fs/aio.c) that is read here; events begin at byte 32.
#[repr(C)]
struct Ring {
    id: u32,
    nr: u32,
    head: AtomicU32,
    tail: AtomicU32,
}

const EVENTS: usize = 32;

fn drain(context: aio_context_t) -> usize {
    let ring = std::ptr::with_exposed_provenance::<Ring>(context as usize);
    // SAFETY: a context's number is the address of its ring, which is mapped while it exists.
    let (head_cell, tail, size) = unsafe {
        (
            &(*ring).head,
            (*ring).tail.load(Ordering::Acquire),
            (*ring).nr,
        )
    };
    let mut head = head_cell.load(Ordering::Relaxed);
    let mut count = 0;
    while head != tail {
        // SAFETY: `head` is below the number of events, which lie behind the header.
        let event = unsafe {
            ring.cast::<u8>()
                .add(EVENTS)
                .cast::<io_event>()
                .add(head as usize)
                .read_volatile()
        };
        assert_eq!(event.res, BLOCK as i64, "a read failed");
        head = (head + 1) % size;
        count += 1;
    }
    head_cell.store(head, Ordering::Release);
    count
}

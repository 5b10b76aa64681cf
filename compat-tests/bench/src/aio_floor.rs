//! The least that asynchronous reads can cost: nothing but `io_submit`, and completions read from
//! the ring in user memory.

use harness::{Doing, Result};
use libaio_sys::bindings::{IOCB_CMD_PREAD, aio_context_t, io_event, iocb};
use libaio_sys::calls;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

/// How many requests share a context, as in the checkers.
const GROUP: usize = 1024;

/// What is read.
const BLOCK: usize = 4096;

/// Reads of the first block of many files.
pub struct Floor {
    files: Vec<OwnedFd>,
    /// What the reads fill, from the first page boundary on.
    buffer: Vec<u8>,
    contexts: Vec<aio_context_t>,
    requests: Vec<iocb>,
    /// To each of them.
    pointers: Vec<*mut iocb>,
    /// How many requests one `io_submit` takes.
    batch: usize,
}

impl Floor {
    /// For files opened with `O_DIRECT`.
    ///
    /// # Errors
    /// When the system's AIO events are used up.
    pub fn new(files: Vec<OwnedFd>, batch: usize) -> Result<Floor> {
        let mut floor = Floor {
            buffer: vec![0; (files.len() + 1) * BLOCK],
            contexts: Vec::new(),
            requests: Vec::new(),
            pointers: Vec::new(),
            batch,
            files,
        };
        for _ in floor.files.chunks(GROUP) {
            let context = calls::io_setup(GROUP as u32).map_err(std::io::Error::from);
            floor.contexts.push(context.doing("io_setup")?);
        }
        let first = floor
            .buffer
            .as_mut_ptr()
            .expose_provenance()
            .next_multiple_of(BLOCK);
        for (index, file) in floor.files.iter().enumerate() {
            floor.requests.push(iocb {
                aio_lio_opcode: IOCB_CMD_PREAD as u16,
                aio_fildes: file.as_raw_fd() as u32,
                aio_buf: (first + index * BLOCK) as u64,
                aio_nbytes: BLOCK as u64,
                ..iocb::default()
            });
        }
        // They stay where they are: nothing is pushed any more.
        floor.pointers = floor.requests.iter_mut().map(std::ptr::from_mut).collect();
        Ok(floor)
    }

    /// Submits every read.
    pub fn submit(&mut self) {
        let groups = self.contexts.iter().zip(self.pointers.chunks_mut(GROUP));
        for (context, pointers) in groups {
            for batch in pointers.chunks_mut(self.batch) {
                // SAFETY: as many pointers to requests as we say, whose buffers are ours and live
                // until `Drop` has destroyed the contexts.
                let taken = unsafe {
                    libc::syscall(
                        libc::SYS_io_submit,
                        *context,
                        batch.len(),
                        batch.as_mut_ptr(),
                    )
                };
                assert_eq!(taken, batch.len() as libc::c_long, "io_submit");
            }
        }
    }

    /// Takes the completions that are there from the rings; how many.
    pub fn reap(&mut self) -> usize {
        self.contexts.iter().map(|context| drain(*context)).sum()
    }

    /// How many reads there are.
    pub fn count(&self) -> usize {
        self.files.len()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        for context in &self.contexts {
            // SAFETY: `drain` does not run any more.
            let _ = unsafe { calls::io_destroy(*context) };
        }
    }
}

/// The part of `struct aio_ring` (fs/aio.c) that is needed; events follow after 32 bytes.
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

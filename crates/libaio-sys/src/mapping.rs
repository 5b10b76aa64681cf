//! Anonymous memory straight from the kernel.
//!
//! Buffers for direct I/O are mapped, not allocated: they start on a page, giving one back returns
//! its pages at once (in a process under `mlockall` nothing else does), and a buffer that has to be
//! left to the kernel is forgotten without harm to a heap.

use kernel_fd::Errno;
use std::ptr::NonNull;

/// Private zeroed memory, unmapped on drop.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping belongs to the process, not to the thread that made it, and is only reached
// through its owner.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `length` bytes (and what is left of the last page), which must not be zero, with their memory: one page fault
    /// after the other would cost the submitter several times as much.
    pub(crate) fn new(length: usize) -> Result<Mapping, Errno> {
        // SAFETY: a new anonymous mapping at a place of the kernel's choice touches nothing that
        // exists.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        match NonNull::new(base.cast()) {
            Some(base) => Ok(Mapping { base, length }),
            None => Err(Errno(libc::ENOMEM)),
        }
    }

    /// How many bytes were asked for.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The address `offset` bytes into the mapping, or `None` past its end.
    pub(crate) fn at(&self, offset: usize) -> Option<NonNull<u8>> {
        (offset < self.length).then(|| {
            // SAFETY: within the mapping, by the comparison.
            unsafe { self.base.add(offset) }
        })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped. Whoever lets a mapping drop knows that no request
        // points into it (Arena and Context forget those that one may point into).
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.length) };
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Anonymous memory straight from the kernel, and the part of it that one request uses.
//!
//! Buffers for direct I/O are mapped, not allocated. They start on a page. Unmapping one returns its pages at
//! once (in a process under `mlockall` nothing else does). A buffer that has to be left to the kernel for good
//! is forgotten without harm to a heap.

use crate::bindings::iocb;
use kernel_fd::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::num::NonZeroUsize;
use std::ptr::NonNull;

/// Private zeroed memory, unmapped on drop.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    length: usize,
}

/// The memory of one request: addresses in a [`Mapping`], valid for as long as that is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// What the request reads into.
    pub(crate) buffer: NonNull<u8>,
    /// Where its `iocb` is kept, aligned for one.
    pub(crate) request: NonNull<iocb>,
}

// SAFETY: a mapping belongs to the process, not to the thread that made it, and is only reached through its
// owner.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `length` bytes, rounded up to whole pages, and populates them at once: a page fault for each of
    /// them later would cost the submitter several times as much.
    ///
    /// # Errors
    /// `EINVAL` for a length of 0, `ENOMEM`, `EAGAIN` when the process may lock no more memory: mmap(2).
    pub(crate) fn new(length: usize) -> Result<Mapping, Errno> {
        let size = NonZeroUsize::new(length).ok_or(Errno(libc::EINVAL))?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let mut flags = MapFlags::MAP_PRIVATE;
        if !cfg!(miri) {
            flags |= MapFlags::MAP_POPULATE;
        }
        // SAFETY: a new mapping at an address of the kernel's choice does not touch existing memory.
        let base = unsafe { mmap_anonymous(None, size, access, flags) }?.cast();
        Ok(Mapping { base, length })
    }

    /// The length that was asked for, in bytes.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The memory of a request: the buffer `buffer` bytes into the mapping, the `iocb` at `request`. `None`
    /// when either is not inside, or the `iocb` would not be aligned.
    pub(crate) fn block(&self, buffer: usize, request: usize) -> Option<Block> {
        let end = request.checked_add(size_of::<iocb>())?;
        if buffer >= self.length || end > self.length || request % align_of::<iocb>() != 0 {
            return None;
        }
        // SAFETY: both offsets are within the mapping, as was just compared.
        let (buffer, request) = unsafe { (self.base.add(buffer), self.base.add(request)) };
        Some(Block {
            buffer,
            request: request.cast(),
        })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the memory that `new` mapped. `Arena` and `Requests`, which own mappings, forget
        // those that a request in flight may still use, so nothing points here any more.
        let _ = unsafe { munmap(self.base.cast(), self.length) };
    }
}

/// For tests, which keep the mapping for as long as they use the block.
#[cfg(test)]
impl Block {
    /// The first `length` bytes of the buffer.
    pub(crate) fn bytes(self, length: usize) -> Vec<u8> {
        // SAFETY: the test has this block, with at least `length` mapped bytes, from an arena or a request
        // that has completed, so the kernel does not write to it.
        unsafe { std::slice::from_raw_parts(self.buffer.as_ptr(), length) }.to_vec()
    }

    /// Sets the first `length` bytes of the buffer, and all of the `iocb`, to `byte`.
    pub(crate) fn fill(self, length: usize, byte: u8) {
        // SAFETY: as for `bytes`; the block is the test's alone.
        unsafe {
            self.buffer.as_ptr().write_bytes(byte, length);
            self.request.as_ptr().write_bytes(byte, 1);
        }
    }

    /// The `iocb`. Its fields are integers, for which any bytes are valid.
    pub(crate) fn iocb(self) -> iocb {
        // SAFETY: as for `bytes`; a fresh mapping is zeroed, so the memory is initialized.
        unsafe { self.request.read() }
    }

    /// Whether the first page of the buffer is mapped (`mincore`).
    pub(crate) fn is_mapped(self) -> bool {
        let mut resident = [0_u8];
        let page = self.buffer.as_ptr().cast();
        // SAFETY: asks about one page, which need not be mapped, and writes one byte of a local array.
        unsafe { libc::mincore(page, 1, resident.as_mut_ptr()) == 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_zeroed_writable_and_starts_on_a_page() {
        let mapping = Mapping::new(5000).unwrap();
        assert_eq!(mapping.length(), 5000);
        let block = mapping.block(0, 4096).unwrap();
        assert_eq!(block.buffer.addr().get() % 4096, 0);
        assert_eq!(block.bytes(4096), [0; 4096]);
        block.fill(4096, 0xff);
        assert_eq!(block.bytes(4096), [0xff; 4096]);
        assert_eq!(block.iocb().aio_nbytes, u64::MAX);
    }

    #[test]
    fn nothing_outside_the_mapping_is_given_away() {
        let mapping = Mapping::new(8192).unwrap();
        let last = 8192 - size_of::<iocb>();
        assert!(mapping.block(8191, last).is_some());
        for (buffer, request) in [
            (8192, 0),
            (0, last + 8),
            (0, 8192),
            (0, 4),
            (usize::MAX, 0),
            (0, usize::MAX),
            (0, usize::MAX - 7),
        ] {
            assert_eq!(mapping.block(buffer, request), None, "{buffer} {request}");
        }
        assert_eq!(Mapping::new(0).unwrap_err(), Errno(libc::EINVAL));
    }
}

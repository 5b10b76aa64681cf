// SPDX-License-Identifier: LGPL-2.0-or-later

//! Memory on its way into a context or out of it.

#![forbid(unsafe_code)]

use crate::Errno;
use crate::mapping::Mapping;

/// Memory that a [`Context`](crate::Context) needs before a read can begin; see [`Context::missing`](crate::Context::missing).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    pub(crate) length: usize,
    pub(crate) size: usize,
}

impl Missing {
    /// Maps the memory. That takes as long as the kernel needs to find some, so no lock should be held.
    ///
    /// # Errors
    /// `ENOMEM`, `EAGAIN` when the process may lock no more memory: mmap(2).
    pub fn map(self) -> Result<Memory, Errno> {
        let mapping = Mapping::new(self.size)?;
        let length = self.length;
        Ok(Memory { length, mapping })
    }
}

/// Memory that is not part of a [`Context`](crate::Context): not yet, or not any more. Unmapped on drop.
#[derive(Debug)]
pub struct Memory {
    /// The length of the reads it was mapped for.
    pub(crate) length: usize,
    pub(crate) mapping: Mapping,
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Which context something belongs to.

#![forbid(unsafe_code)]

use crate::bindings::aio_context_t;
use kernel_fd::fork::Generation;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A word, since some targets (armel, powerpc) have no atomic integers of 64 bits.
static SERIAL: AtomicUsize = AtomicUsize::new(0);

/// Identifies a context among all that this process has had: the kernel may use the number of a destroyed
/// one again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The kernel's number.
    pub(crate) id: aio_context_t,
    serial: usize,
    generation: Generation,
}

impl Identity {
    /// The identity of a context that this process has just made.
    pub(crate) fn new(id: aio_context_t, generation: Generation) -> Identity {
        Identity {
            id,
            serial: SERIAL.fetch_add(1, Relaxed),
            generation,
        }
    }

    /// Whether the context belongs to this process, and not to one of which this is a child.
    pub(crate) fn is_here(self) -> bool {
        self.generation.is_here()
    }
}

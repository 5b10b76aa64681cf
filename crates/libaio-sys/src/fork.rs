//! A child process does not own its parent's contexts.
//!
//! After `fork` the child has the parent's ring mapped, shared with the parent: to advance its head
//! would steal the parent's completions. So a context remembers the generation of the process that
//! made it, and serves no other.

use kernel_fd::Errno;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// How many forks lie between this process and the one that first made a context (a handler that
/// two threads registered at once counts twice, which is as good).
static GENERATION: AtomicU32 = AtomicU32::new(0);

static REGISTERED: AtomicBool = AtomicBool::new(false);

/// The process that made something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u32);

impl Generation {
    /// This process; forks are noticed from the first call on.
    ///
    /// # Errors
    /// `ENOMEM` when the handler could not be registered.
    pub(crate) fn current() -> Result<Generation, Errno> {
        if !REGISTERED.load(Relaxed) {
            // SAFETY: the handler stays loaded as long as the process (a plugin that holds this
            // code is linked with -z nodelete) and does nothing but an atomic addition, which is
            // safe in the child of any fork.
            match unsafe { libc::pthread_atfork(None, None, Some(in_child)) } {
                0 => REGISTERED.store(true, Relaxed),
                errno => return Err(Errno(errno)),
            }
        }
        Ok(Generation(GENERATION.load(Relaxed)))
    }

    /// Whether this is still the same process.
    pub(crate) fn is_here(self) -> bool {
        self.0 == GENERATION.load(Relaxed)
    }
}

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Relaxed);
}

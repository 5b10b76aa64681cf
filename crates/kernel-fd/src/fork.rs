// SPDX-License-Identifier: LGPL-2.0-or-later

//! Detects that a fork has made another process.
//!
//! A child has the memory of its parent, but neither its threads nor its AIO contexts. Values that depend
//! on those store the [`Generation`] in which they were made and compare it later.

use crate::Errno;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// The number of forks between this process and the one that first called [`Generation::current`]. Two
/// threads that register the handler at once make each fork count twice, which is harmless.
static GENERATION: AtomicU32 = AtomicU32::new(0);

static REGISTERED: AtomicBool = AtomicBool::new(false);

/// The process in which something was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u32);

impl Generation {
    /// This process. Forks are counted from the first call on.
    ///
    /// # Errors
    /// `ENOMEM` when the fork handler could not be registered.
    pub fn current() -> Result<Generation, Errno> {
        if !REGISTERED.load(Relaxed) {
            // SAFETY: the handler stays loaded until the process ends (ffi links the plugins with -z
            // nodelete). It makes one atomic addition, which is safe in the child of any fork.
            match unsafe { libc::pthread_atfork(None, None, Some(in_child)) } {
                0 => REGISTERED.store(true, Relaxed),
                errno => return Err(Errno(errno)),
            }
        }
        Ok(Generation(GENERATION.load(Relaxed)))
    }

    /// Whether this is the process in which the value was made. Costs one relaxed load.
    pub fn is_here(self) -> bool {
        self.0 == GENERATION.load(Relaxed)
    }
}

/// The process to which the threads and queues of a static belong; unknown at first.
#[derive(Debug)]
pub struct Home(Option<Generation>);

impl Home {
    /// The initial value of a static.
    pub const fn unknown() -> Home {
        Home(None)
    }

    /// Whether the process has changed by a fork since the call before. `here` is this process, or `None`
    /// when there was no memory for the fork handler: then a fork goes unnoticed.
    pub fn has_changed(&mut self, here: Option<Generation>) -> bool {
        let forked = self.0.is_some_and(|home| !home.is_here());
        if forked || self.0.is_none() {
            self.0 = here;
        }
        forked
    }
}

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_changes_only_by_a_fork() {
        let here = Generation::current().ok();
        let mut home = Home::unknown();
        // Without memory for the handler nothing changes.
        for known in [None, None, here, here, None] {
            assert!(!home.has_changed(known));
        }
        let parent = Generation(GENERATION.load(Relaxed).wrapping_sub(1));
        let mut inherited = Home(Some(parent));
        assert!(inherited.has_changed(here));
        assert!(!inherited.has_changed(here));
    }
}

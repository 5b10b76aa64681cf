// SPDX-License-Identifier: LGPL-2.0-or-later

//! What ends a process.

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

/// Whether a process that does this is ended by a signal.
pub(crate) fn dies(what: impl FnOnce()) -> bool {
    // SAFETY: the child touches nothing but memory of its own and ends without cleaning up; the other
    // threads, which it lacks, are idle workers.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            // A core file is not wanted. That it comes nevertheless does not matter.
            let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
            what();
            // SAFETY: ends the process without running anything of it.
            unsafe { libc::_exit(0) }
        }
        Ok(ForkResult::Parent { child }) => {
            matches!(waitpid(child, None), Ok(WaitStatus::Signaled(..)))
        }
        Err(_) => false,
    }
}

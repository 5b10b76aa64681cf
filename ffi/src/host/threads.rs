// SPDX-License-Identifier: LGPL-2.0-or-later

//! How a worker thread is started inside a daemon.
//!
//! Not by `std::thread`, whose allocations end the process when they fail.

use super::attributes::{Attributes, check, worker_stack_size};
use super::locked_memory;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::unistd::Pid;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{io, ptr};

/// A stack was refused, and a thread with the default size was started. The thread that notices may not be
/// one that can log.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Runs `body` on a detached thread with all signals blocked, so that no signal meant for the host is
/// delivered to a thread that hangs. Its stack has the size of [`worker_stack_size`], or the default size
/// where the C library refuses so small a one.
///
/// # Errors
/// When the system has no thread, or no memory for it.
pub(crate) fn spawn(body: fn()) -> io::Result<()> {
    let _blocked = SignalsBlocked::new();
    let mut attributes = Attributes::new()?;
    attributes.set_stack_size(worker_stack_size())?;
    let started = start(&attributes, body);
    if !started
        .as_ref()
        .is_err_and(|error| error.raw_os_error() == Some(libc::EINVAL))
    {
        return started;
    }
    start(&Attributes::new()?, body)?;
    REFUSED.store(true, Ordering::Relaxed);
    Ok(())
}

/// Logs, once, that threads have larger stacks than intended. For a thread that may log; costs one load
/// when there is nothing to log.
pub(crate) fn report() {
    static REPORTED: AtomicBool = AtomicBool::new(false);
    if REFUSED.load(Ordering::Relaxed) && !REPORTED.swap(true, Ordering::Relaxed) {
        log::warn!(
            "path checker plugin: no thread with a stack of {} KiB can be had (is there much static \
             thread-local storage in this process?); workers have stacks of the default size",
            worker_stack_size() / 1024
        );
    }
}

fn start(attributes: &Attributes, body: fn()) -> io::Result<()> {
    if !locked_memory::suffices_for(attributes.stack_size()) {
        return check(libc::EAGAIN);
    }
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: `thread` and `attributes` are valid for the call, and `run` gets the argument it expects.
    check(unsafe {
        libc::pthread_create(
            thread.as_mut_ptr(),
            attributes.as_ptr(),
            run,
            body as *mut c_void,
        )
    })
}

extern "C" fn run(body: *mut c_void) -> *mut c_void {
    // SAFETY: `start` passes a `fn()`, and function pointers fit into data pointers on every system that
    // has dlsym.
    let body = unsafe { std::mem::transmute::<*mut c_void, fn()>(body) };
    // A panic ends the thread. The panic hook has reported it.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
        // Dropping the payload may panic as well.
        std::mem::forget(payload);
    }
    ptr::null_mut()
}

/// The number of processors that the calling thread may use; 1 when the kernel does not say. (The standard
/// library's `available_parallelism` reads files about control groups, for which it allocates.)
pub(super) fn processors() -> usize {
    sched_getaffinity(Pid::from_raw(0)).map_or(1, |set| {
        (0..CpuSet::count())
            .filter(|cpu| set.is_set(*cpu) == Ok(true))
            .count()
    })
}

/// All signals are blocked for the calling thread, and for threads that it starts, until this is dropped.
struct SignalsBlocked(Option<SigSet>);

impl SignalsBlocked {
    fn new() -> SignalsBlocked {
        let all = SigSet::all();
        SignalsBlocked(all.thread_swap_mask(SigmaskHow::SIG_SETMASK).ok())
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // Only an invalid set could fail.
            let _ = before.thread_set_mask();
        }
    }
}

//! The five system calls of native AIO.
//!
//! They go through the C library's `syscall` symbol, so a failure is -1 with `errno` set (libaio's
//! functions return a negative number instead).

use crate::bindings::{aio_context_t, io_event, iocb};
use kernel_fd::Errno;
use std::ffi::{c_int, c_long};
use std::ptr::NonNull;

// io_getevents takes the kernel's old timespec: two longs.
const _: () = assert!(size_of::<libc::timespec>() == 2 * size_of::<c_long>());

/// Makes a context in which `events` requests can be in flight.
///
/// # Errors
/// `EAGAIN` when the system's total would pass the sysctl `fs.aio-max-nr`, `EINVAL` for no events
/// or far too many, `ENOMEM`, `ENOSYS` when the kernel has no AIO.
pub fn io_setup(events: u32) -> Result<aio_context_t, Errno> {
    let mut context: aio_context_t = 0;
    // SAFETY: the kernel reads and writes one aio_context_t, our own, which is zero as it demands.
    check(unsafe { libc::syscall(libc::SYS_io_setup, events, &raw mut context) })?;
    Ok(context)
}

/// Destroys a context. Waits until every request in it has completed, as long as that takes.
///
/// # Safety
/// The ring at the address `context` is not read any more: it is unmapped.
///
/// # Errors
/// `EINVAL` when this process has no such context.
pub unsafe fn io_destroy(context: aio_context_t) -> Result<(), Errno> {
    // SAFETY: takes a number; that the memory behind it is no longer in use is the caller's word.
    check(unsafe { libc::syscall(libc::SYS_io_destroy, context) })?;
    Ok(())
}

/// Starts the request that the block at `request` describes. The kernel copies the block (and stores
/// its key in it) before it starts the request; the event names the block's address.
///
/// # Safety
/// There is an `iocb` at `request`, which nothing else writes to during the call unless the request
/// has completed. The memory that it names must stay valid, and unused by anybody else, until its event
/// has been delivered.
///
/// # Errors
/// `EAGAIN` when the context is full, `EBADF`, `EINVAL`, …; number 0 when the kernel took no request
/// and gave no reason.
pub unsafe fn io_submit(context: aio_context_t, request: NonNull<iocb>) -> Result<(), Errno> {
    let mut requests = [request.as_ptr()];
    // SAFETY: one pointer to one request; that it is one, and the request's own memory, are the
    // caller's word.
    let taken = check(unsafe {
        let count: c_long = 1;
        libc::syscall(libc::SYS_io_submit, context, count, requests.as_mut_ptr())
    })?;
    if taken == 0 { Err(Errno(0)) } else { Ok(()) }
}

/// Asks the kernel to cancel the request that was submitted from the address of `request`. Whatever
/// the answer, the request is the kernel's until its event comes.
///
/// # Errors
/// `EINPROGRESS` when the request is being cancelled, `EINVAL` when there is no such request, or
/// none that can be cancelled (a read of a block device cannot).
pub fn io_cancel(context: aio_context_t, request: &iocb) -> Result<(), Errno> {
    let mut unused = io_event::default();
    // SAFETY: the kernel reads the request's key and, if ever, writes one event, our own.
    check(unsafe {
        libc::syscall(
            libc::SYS_io_cancel,
            context,
            &raw const *request,
            &raw mut unused,
        )
    })?;
    Ok(())
}

/// Takes up to `events.len()` completions, waiting for at least `min` of them no longer than
/// `timeout`, and says how many came.
///
/// # Errors
/// `EINTR` when a signal ended the wait before any came, `EINVAL` when this process has no such
/// context.
pub fn io_getevents(
    context: aio_context_t,
    min: u16,
    events: &mut [io_event],
    timeout: libc::timespec,
) -> Result<usize, Errno> {
    let room = c_int::try_from(events.len()).unwrap_or(c_int::MAX);
    let mut timeout = timeout;
    // SAFETY: the kernel writes at most `room` events, for which the slice has space, and reads one
    // timespec.
    let came = check(unsafe {
        libc::syscall(
            libc::SYS_io_getevents,
            context,
            c_long::from(min),
            c_long::from(room),
            events.as_mut_ptr(),
            &raw mut timeout,
        )
    })?;
    Ok(usize::try_from(came).unwrap_or(0).min(events.len()))
}

/// A result of `syscall`.
fn check(result: c_long) -> Result<c_long, Errno> {
    if result < 0 {
        Err(Errno::last())
    } else {
        Ok(result)
    }
}

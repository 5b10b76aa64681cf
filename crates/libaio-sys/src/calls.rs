// SPDX-License-Identifier: LGPL-2.0-or-later

//! The five system calls of native AIO, as their manual pages (section 2) describe them.
//!
//! They go through the C library's `syscall` symbol, so a failure is -1 with `errno` set (libaio's
//! functions return a negative number instead).

use crate::bindings::{aio_context_t, io_event, iocb};
use kernel_fd::Errno;
use std::ffi::{c_int, c_long};
use std::ptr::NonNull;

// io_getevents takes the kernel's old timespec: two longs.
const _: () = assert!(size_of::<libc::timespec>() == 2 * size_of::<c_long>());

/// Makes a context in which at least `events` requests can be in flight, and returns its number.
///
/// # Errors
/// `EAGAIN` when the system's total would exceed the sysctl `fs.aio-max-nr`, `EINVAL` for no events
/// or far too many, `ENOMEM`, `ENOSYS` when the kernel was built without AIO: io_setup(2).
pub fn io_setup(events: u32) -> Result<aio_context_t, Errno> {
    let mut context: aio_context_t = 0;
    // SAFETY: the kernel reads and writes one aio_context_t, a local one, which is zero as required.
    check(unsafe { libc::syscall(libc::SYS_io_setup, events, &raw mut context) })?;
    Ok(context)
}

/// Destroys a context. Waits until every request in it has completed, however long that takes, and for an
/// RCU grace period: some 30 ms.
///
/// # Safety
/// The ring at the address `context` must not be read any more: it is unmapped.
///
/// # Errors
/// `EINVAL` when this process has no such context: io_destroy(2).
pub unsafe fn io_destroy(context: aio_context_t) -> Result<(), Errno> {
    // SAFETY: passes a number; the caller guarantees that the ring at this address is not used any more.
    check(unsafe { libc::syscall(libc::SYS_io_destroy, context) })?;
    Ok(())
}

/// Starts the request that the `iocb` at `request` describes. The kernel copies the `iocb` (and stores a
/// key in it) before it starts the request; the event names its address.
///
/// Blocks while the device's queue has no room for another request, or where the file system does the whole
/// read at once, unless the request has `RWF_NOWAIT`.
///
/// # Safety
/// There must be an `iocb` at `request` that nothing else writes to during the call, unless the request has
/// completed. The memory that it names must stay valid, and unused otherwise, until its event has been
/// delivered.
///
/// # Errors
/// `EAGAIN` when the context is full, `EBADF`, `EINVAL`, …: io_submit(2). Number 0 when the kernel took no
/// request and gave no reason.
pub unsafe fn io_submit(context: aio_context_t, request: NonNull<iocb>) -> Result<(), Errno> {
    let mut requests = [request.as_ptr()];
    // SAFETY: an array of one pointer and its length. The caller guarantees that the pointer is to an iocb,
    // and that the memory which that names stays valid.
    let taken = check(unsafe {
        let count: c_long = 1;
        libc::syscall(libc::SYS_io_submit, context, count, requests.as_mut_ptr())
    })?;
    if taken == 0 { Err(Errno(0)) } else { Ok(()) }
}

/// Asks the kernel to cancel the request that was submitted from the address of `request`. Whatever the
/// result, its memory is the kernel's until its event has been delivered.
///
/// # Errors
/// `EINPROGRESS` when the request is being cancelled, `EINVAL` when there is no such request, or it cannot
/// be cancelled, as reads of block devices: io_cancel(2).
pub fn io_cancel(context: aio_context_t, request: &iocb) -> Result<(), Errno> {
    let mut unused = io_event::default();
    // SAFETY: the kernel reads the key of the request, and writes at most one event, to a local one.
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

/// Takes up to `events.len()` completions, oldest first, waits up to `timeout` until there are `min`, and
/// returns how many were taken.
///
/// # Errors
/// `EINTR` when a signal ended the wait before there was any, `EINVAL` when this process has no such
/// context: io_getevents(2).
pub fn io_getevents(
    context: aio_context_t,
    min: u16,
    events: &mut [io_event],
    timeout: libc::timespec,
) -> Result<usize, Errno> {
    let room = c_int::try_from(events.len()).unwrap_or(c_int::MAX);
    let mut timeout = timeout;
    // SAFETY: the kernel writes at most `room` events, for which the slice has space, and reads one
    // timespec, a local one.
    let taken = check(unsafe {
        libc::syscall(
            libc::SYS_io_getevents,
            context,
            c_long::from(min),
            c_long::from(room),
            events.as_mut_ptr(),
            &raw mut timeout,
        )
    })?;
    Ok(usize::try_from(taken).unwrap_or(0).min(events.len()))
}

/// The result of `syscall`.
fn check(result: c_long) -> Result<c_long, Errno> {
    if result < 0 {
        Err(Errno::last())
    } else {
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::IOCB_CMD_POLL;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_cancelled_request_still_has_its_event() {
        let (socket, _end) = UnixStream::pair().unwrap();
        let id = io_setup(1).unwrap();
        let mut request = iocb {
            aio_data: 5,
            aio_lio_opcode: IOCB_CMD_POLL as u16,
            aio_fildes: socket.as_raw_fd() as u32,
            aio_buf: libc::POLLIN as u64,
            ..iocb::default()
        };
        // SAFETY: a poll uses no memory but its iocb, which outlives it.
        unsafe { io_submit(id, NonNull::from(&mut request)) }.unwrap();
        assert_eq!(io_cancel(id, &request), Err(Errno(libc::EINPROGRESS)));
        let mut events = [io_event::default(); 2];
        let limit = libc::timespec {
            tv_sec: 20,
            tv_nsec: 0,
        };
        assert_eq!(io_getevents(id, 1, &mut events, limit), Ok(1));
        assert_eq!(events[0].data, 5);
        // SAFETY: the ring of this context has not been read.
        unsafe { io_destroy(id) }.unwrap();
    }
}

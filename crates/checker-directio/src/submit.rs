// SPDX-License-Identifier: LGPL-2.0-or-later

//! Starting a read: on the caller's thread where that cannot wait, else by a worker.

use crate::deferred_submit::defer;
use crate::groups::{self, groups};
use crate::nowait::Nowait;
use crate::place::Place;
use checkers_core::{Mode, Monotonic};
use kernel_fd::Errno;
use std::os::fd::RawFd;

/// Where a read is submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Submitter {
    /// The caller's thread has done so.
    Caller,
    /// A worker is to do so.
    Worker,
}

/// Starts a read of the first block of `fd` for the path in `place`, and returns where it is submitted.
///
/// # Errors
/// What the kernel or the context returns, and the errors of [`defer`]. Nothing is in flight then.
pub(crate) fn start(
    place: Place,
    nowait: &mut Nowait,
    mode: Mode,
    fd: RawFd,
    now: Monotonic,
) -> Result<Submitter, Errno> {
    let refusal = match mode {
        Mode::Sync => submit(place, false, fd, now)?,
        Mode::Async if nowait.tries() => submit(place, true, fd, now)?,
        Mode::Async => return defer(place, fd, now).map(|()| Submitter::Worker),
    };
    let Some(errno) = refusal else {
        return Ok(Submitter::Caller);
    };
    start_again(place, nowait, errno, fd, now)?;
    Ok(Submitter::Worker)
}

/// Leaves a read to a worker that the kernel has refused with `errno`, since it might have had to wait.
///
/// # Errors
/// As [`defer`].
pub(crate) fn start_again(
    place: Place,
    nowait: &mut Nowait,
    errno: Errno,
    fd: RawFd,
    now: Monotonic,
) -> Result<(), Errno> {
    nowait.refused(errno);
    defer(place, fd, now)
}

/// Submits a read on the caller's thread. With `nowait` the kernel may refuse it: `Ok(Some(errno))`.
fn submit(place: Place, nowait: bool, fd: RawFd, now: Monotonic) -> Result<Option<Errno>, Errno> {
    let submission = groups::begin(place, nowait, now, |_, submission| Ok(submission))?;
    let submitted = if nowait {
        submission.submit_nowait(fd)
    } else {
        submission.submit(fd)
    };
    let mut groups = groups();
    // What the kernel would return without an AIO context.
    let group = groups.of(place).ok_or(Errno(libc::EINVAL))?;
    group.settle(place.index, nowait, submitted)
}

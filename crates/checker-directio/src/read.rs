// SPDX-License-Identifier: LGPL-2.0-or-later

//! Where a read stands, and which side owns it: the path, a worker, or the kernel.

use kernel_fd::Errno;

/// Where the read of one slot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// No path has the slot.
    Vacant,
    /// The path has not started a read, or has collected the result.
    Idle,
    /// The result is to come, and the path waits for it.
    Awaited(Holder),
    /// The result is there for the path.
    Ended(Outcome),
    /// The result is to come, and the path has been freed. The slot stays taken until then.
    Orphaned(Holder),
}

/// Which side has a read whose result is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A worker, which submits the read now or will do so; the submission may wait for the device.
    Worker(DeferredId),
    /// The kernel; with `nowait`, on condition that it need not wait.
    Kernel { nowait: bool },
}

/// Identifies a deferred submission, of which each has another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DeferredId(pub(crate) u64);

/// How a read has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The whole block was read.
    Complete,
    /// The read failed.
    Failed(Failure),
    /// The kernel did not read since it might have had to wait: `EAGAIN` this time, `EOPNOTSUPP` always.
    Refused(Errno),
}

/// Why a read failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The kernel did not take the request (`io_submit`).
    NotSubmitted(Errno),
    /// The device's error.
    Error(Errno),
    /// Less than a block could be read.
    Short,
}

impl Read {
    /// Whether the path still waits for the result.
    pub(crate) fn is_awaited(self) -> bool {
        matches!(self, Read::Awaited(_))
    }
}

impl Outcome {
    /// The outcome of a completion with the result `res` (bytes, or a negative errno) for a read of
    /// `block_size` bytes.
    pub(crate) fn new(res: i64, block_size: u32, nowait: bool) -> Outcome {
        match (i32::try_from(res), refusal(res).filter(|_| nowait)) {
            (_, Some(errno)) => Outcome::Refused(errno),
            _ if res == i64::from(block_size) => Outcome::Complete,
            (Ok(errno), _) if errno < 0 => {
                Outcome::Failed(Failure::Error(Errno(errno.saturating_neg())))
            }
            _ => Outcome::Failed(Failure::Short),
        }
    }
}

/// The errno of a completion without a read, for which the kernel would have had to wait.
pub(crate) fn refusal(res: i64) -> Option<Errno> {
    [libc::EAGAIN, libc::EOPNOTSUPP]
        .into_iter()
        .find(|errno| res == -i64::from(*errno))
        .map(Errno)
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_only_where_it_was_allowed() {
        let error = |errno| Outcome::Failed(Failure::Error(Errno(errno)));
        for (nowait, res, outcome) in [
            (
                true,
                -i64::from(libc::EAGAIN),
                Outcome::Refused(Errno(libc::EAGAIN)),
            ),
            (
                true,
                -i64::from(libc::EOPNOTSUPP),
                Outcome::Refused(Errno(libc::EOPNOTSUPP)),
            ),
            (false, -i64::from(libc::EAGAIN), error(libc::EAGAIN)),
            (false, -i64::from(libc::EOPNOTSUPP), error(libc::EOPNOTSUPP)),
            (true, -i64::from(libc::EIO), error(libc::EIO)),
            (true, 511, Outcome::Failed(Failure::Short)),
            (true, 0, Outcome::Failed(Failure::Short)),
            (true, 512, Outcome::Complete),
        ] {
            assert_eq!(Outcome::new(res, 512, nowait), outcome, "{nowait} {res}");
        }
    }
}

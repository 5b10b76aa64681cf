// SPDX-License-Identifier: LGPL-2.0-or-later

//! Whether a read is submitted on the host's thread or left to a worker.
//!
//! On the host's thread a read carries `RWF_NOWAIT`, and the kernel refuses it where it would have to
//! wait. That is worth trying unless the kernel is known to wait nevertheless, or has refused before.
//!
//! For direct I/O on a block device the flag works since Linux 5.13. Before 5.12 (and 5.4.113, 5.10.31)
//! the block layer ignored it, so that `io_submit` slept while the queue was full; and from 5.4 to 5.12 the
//! kernel refused every read of a block that had a page in the page cache, clean or not.

use checkers_core::sync::OnceLock;
use kernel_fd::{Errno, FileKind, KernelRelease};

/// The first release on which the flag works for block devices.
const RELIABLE: KernelRelease = KernelRelease {
    major: 5,
    minor: 13,
};

/// After so many refusals in a row, one of [`RARELY`] reads is tried on the host's thread.
const IN_A_ROW: u32 = 3;
const RARELY: u32 = 16;

/// What is known about one path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nowait {
    attempts: Attempts,
    /// The last read was tried on the host's thread.
    tried: bool,
}

/// Which reads are tried on the host's thread.
#[derive(Clone, Copy, Debug)]
enum Attempts {
    /// None: the kernel cannot tell in advance whether it would have to wait, or waits in spite of the flag.
    Never,
    /// All until [`IN_A_ROW`] were refused in succession, then one of [`RARELY`]. The count is that of
    /// refusals in succession, and from [`IN_A_ROW`] on also of reads that were not tried.
    AfterRefusals(u32),
}

impl Nowait {
    /// For a file of this kind on this kernel.
    pub(crate) fn new(kind: FileKind, release: Option<KernelRelease>) -> Nowait {
        let reliable = release.is_some_and(|release| release >= RELIABLE);
        Nowait {
            attempts: if kind == FileKind::Block && !reliable {
                Attempts::Never
            } else {
                Attempts::AfterRefusals(0)
            },
            tried: false,
        }
    }

    /// Whether to try the next read on the host's thread.
    pub(crate) fn tries(&mut self) -> bool {
        self.tried = match &mut self.attempts {
            Attempts::Never => false,
            Attempts::AfterRefusals(count) if *count < IN_A_ROW || *count % RARELY == 0 => true,
            Attempts::AfterRefusals(count) => {
                *count = count.saturating_add(1);
                false
            }
        };
        self.tried
    }

    /// The kernel has refused the read that was tried.
    pub(crate) fn refused(&mut self, errno: Errno) {
        self.attempts = match self.attempts {
            Attempts::AfterRefusals(count) if errno.0 != libc::EOPNOTSUPP => {
                Attempts::AfterRefusals(count.saturating_add(1))
            }
            _ => Attempts::Never,
        };
        self.tried = false;
    }

    /// The read has ended.
    pub(crate) fn ended(&mut self) {
        if let (Attempts::AfterRefusals(count), true) = (&mut self.attempts, self.tried) {
            *count = 0;
        }
    }
}

/// The running kernel's release, read once.
pub(crate) fn this_release() -> Option<KernelRelease> {
    static RELEASE: OnceLock<Option<KernelRelease>> = OnceLock::new();
    *RELEASE.get_or_init(kernel_fd::kernel_release)
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    const AGAIN: Errno = Errno(libc::EAGAIN);

    fn on(kind: FileKind, major: u32, minor: u32) -> Nowait {
        Nowait::new(kind, Some(KernelRelease { major, minor }))
    }

    #[test]
    fn block_devices_need_a_kernel_on_which_the_flag_works() {
        for (major, minor, tries) in [
            (4, 18, false),
            (5, 4, false),
            (5, 12, false),
            (5, 13, true),
            (6, 0, true),
        ] {
            let tried = on(FileKind::Block, major, minor).tries();
            assert_eq!(tried, tries, "{major}.{minor}");
            assert!(on(FileKind::Regular, major, minor).tries());
        }
        assert!(!Nowait::new(FileKind::Block, None).tries());
        // Nothing is tried now and then either.
        let mut old = on(FileKind::Block, 5, 12);
        assert!((0..100).all(|_| !old.tries()));
    }

    #[test]
    fn a_file_without_the_flag_is_not_tried_again() {
        let mut nowait = on(FileKind::Other, 6, 1);
        assert!(nowait.tries());
        nowait.refused(Errno(libc::EOPNOTSUPP));
        assert!((0..100).all(|_| !nowait.tries()));
    }

    #[test]
    fn after_refusals_in_a_row_only_now_and_then() {
        let mut nowait = on(FileKind::Block, 6, 1);
        let mut tried = 0;
        for _ in 0..10 * RARELY {
            if nowait.tries() {
                tried += 1;
                nowait.refused(AGAIN);
            }
            // A worker's success says nothing about the host's thread.
            nowait.ended();
        }
        assert_eq!(tried, IN_A_ROW + 9);
        while !nowait.tries() {}
        nowait.ended();
        for _ in 0..IN_A_ROW {
            assert!(nowait.tries());
            nowait.refused(AGAIN);
        }
        assert!(!nowait.tries());
    }
}

//! Whether a read is submitted on the host's thread or left to a worker.
//!
//! On the host's thread a read carries `RWF_NOWAIT`, and the kernel refuses it where it would have to
//! wait. That is worth trying unless the kernel is known not to keep the promise, or has refused before.
//!
//! For direct I/O on a block device the promise is kept since Linux 5.13. Before 5.12 (and 5.4.113, 5.10.31)
//! the block layer ignored the flag for it, so that `io_submit` slept while the queue was full; and from
//! 5.4 to 5.12 a page of the read block in the page cache, clean or not, had every read refused.

use kernel_fd::{Errno, FileKind, KernelRelease};
use std::sync::OnceLock;

/// The first release that can be trusted with block devices.
const RELIABLE: KernelRelease = KernelRelease {
    major: 5,
    minor: 13,
};

/// After so many refusals in a row, one of [`RARELY`] reads is tried on the host's thread.
const IN_A_ROW: u32 = 3;
const RARELY: u32 = 16;

/// What is known of one path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nowait {
    /// The kernel cannot or will not tell beforehand whether it would have to wait.
    hopeless: bool,
    /// Refusals in a row, and from [`IN_A_ROW`] on reads that were not tried.
    vain: u32,
    /// The last read was tried.
    tried: bool,
}

impl Nowait {
    /// For a file of this kind on this kernel.
    pub(crate) fn new(kind: FileKind, release: Option<KernelRelease>) -> Nowait {
        let reliable = release.is_some_and(|release| release >= RELIABLE);
        Nowait {
            hopeless: kind == FileKind::Block && !reliable,
            vain: 0,
            tried: false,
        }
    }

    /// Whether to try the next read on the host's thread.
    pub(crate) fn tries(&mut self) -> bool {
        self.tried = !self.hopeless && (self.vain < IN_A_ROW || self.vain % RARELY == 0);
        if !self.tried {
            self.vain = self.vain.saturating_add(1);
        }
        self.tried
    }

    /// The read that was tried has been refused.
    pub(crate) fn refused(&mut self, errno: Errno) {
        self.hopeless |= errno.0 == libc::EOPNOTSUPP;
        self.vain = self.vain.saturating_add(1);
        self.tried = false;
    }

    /// The read has ended.
    pub(crate) fn ended(&mut self) {
        if self.tried {
            self.vain = 0;
        }
    }
}

/// The running kernel's release, read once.
pub(crate) fn this_release() -> Option<KernelRelease> {
    static RELEASE: OnceLock<Option<KernelRelease>> = OnceLock::new();
    *RELEASE.get_or_init(kernel_fd::kernel_release)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGAIN: Errno = Errno(libc::EAGAIN);

    fn on(kind: FileKind, major: u32, minor: u32) -> Nowait {
        Nowait::new(kind, Some(KernelRelease { major, minor }))
    }

    #[test]
    fn block_devices_need_a_kernel_that_keeps_the_promise() {
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
        // However often: nothing is tried now and then.
        let mut old = on(FileKind::Block, 5, 12);
        assert!((0..100).all(|_| !old.tries()));
    }

    #[test]
    fn what_cannot_promise_anything_is_not_asked_again() {
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
            // A worker's success says nothing of the host's thread.
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

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Room for a thread under a limit on locked memory (`RLIMIT_MEMLOCK`).
//!
//! A daemon that has locked its memory needs room for a thread's stack and for a table that glibc
//! allocates. glibc (observed with 2.36) ends the process when there is room for the stack and not for the
//! table: it expects ENOMEM there, and such a limit returns EAGAIN.

use super::attributes::PAGE;
use nix::sys::resource::{Resource, getrlimit};
use std::ptr;

/// An upper bound of what starting a thread allocates beside the stack, in bytes: a table of 16 bytes for
/// each loaded object with thread-local storage. glibc allocates the table with calloc, which takes no memory
/// from malloc's cache of small freed blocks. This size is above the largest that is cached, so that malloc
/// does not take it from there either.
const TABLE: usize = 2048;

/// Whether there is room for a thread with a stack of this size, in bytes. Both are allocated for a moment,
/// together, and freed; no page is touched. Another thread may take the room meanwhile, which is the
/// remaining risk.
pub(super) fn suffices_for(stack: usize) -> bool {
    if !is_limited() {
        return true;
    }
    let size = stack.saturating_add(PAGE);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
    // SAFETY: both are new memory that nothing uses, and each is freed if it was allocated.
    unsafe {
        let table = libc::malloc(TABLE);
        let memory = libc::mmap(ptr::null_mut(), size, libc::PROT_NONE, flags, -1, 0);
        let both = !table.is_null() && memory != libc::MAP_FAILED;
        if memory != libc::MAP_FAILED {
            libc::munmap(memory, size);
        }
        libc::free(table);
        both
    }
}

/// Whether a limit on locked memory applies to the calling thread. A daemon that runs as root usually has
/// none.
fn is_limited() -> bool {
    /// `_LINUX_CAPABILITY_VERSION_3`.
    const VERSION: u32 = 0x2008_0522;
    /// With this capability the limit does not apply.
    const CAP_IPC_LOCK: u32 = 14;
    // A limit that cannot be read is taken for one that applies.
    let limited =
        getrlimit(Resource::RLIMIT_MEMLOCK).map_or(true, |(soft, _)| soft != libc::RLIM_INFINITY);
    // 0 is the calling thread.
    let mut header = [VERSION, 0];
    // Two times effective, permitted, inheritable, as this version has them.
    let mut capabilities = [0_u32; 6];
    // SAFETY: both are local variables of the size that belongs to the version.
    unsafe {
        libc::syscall(
            libc::SYS_capget,
            header.as_mut_ptr(),
            capabilities.as_mut_ptr(),
        )
    };
    let [effective, ..] = capabilities;
    limited && effective >> CAP_IPC_LOCK & 1 == 0
}

#[cfg(test)]
mod tests {
    use super::super::threads::spawn;
    use std::process::Command;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    #[test]
    #[ignore = "needs root, to lock memory and to give that right up"]
    fn a_limit_on_locked_memory_leaves_the_process_alive() {
        const NAME: &str =
            "host::locked_memory::tests::a_limit_on_locked_memory_leaves_the_process_alive";
        const INSIDE: &str = "CHECKERS_TEST_LOCKED";
        let Ok(room) = std::env::var(INSIDE) else {
            let mut refused = 0;
            for room in (0..160).step_by(4) {
                let output = Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", NAME, "--nocapture", "--ignored"])
                    .env(INSIDE, room.to_string())
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&output.stdout)
                    + String::from_utf8_lossy(&output.stderr);
                let status = output.status;
                assert!(status.success(), "{room} KiB: {status}: {said}");
                refused += usize::from(said.contains("refused"));
            }
            assert!(refused > 5, "the limit was never reached");
            return;
        };
        ROOM.store(room.parse().unwrap(), Ordering::SeqCst);
        // On a thread that has never allocated, like the one that starts workers.
        spawn(start_some).unwrap();
        std::thread::sleep(Duration::from_secs(60));
    }

    static ROOM: AtomicU64 = AtomicU64::new(0);

    /// Leaves room for [`ROOM`] KiB of locked memory, and starts threads until it is full.
    fn start_some() {
        let room = ROOM.load(Ordering::SeqCst) * 1024;
        let limit = libc::rlimit {
            rlim_cur: room,
            rlim_max: room,
        };
        // With CAP_IPC_LOCK, 14, the limit would not apply.
        let header = [0x2008_0522_u32, 0];
        let mut sets = [0_u32; 6];
        // SAFETY: the calls concern the test's own process; the capability sets have the size that
        // belongs to their version.
        unsafe {
            assert_eq!(libc::mlockall(libc::MCL_FUTURE), 0);
            assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit), 0);
            libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr());
            sets[0] &= !(1 << 14);
            sets[1] &= !(1 << 14);
            libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr());
        }
        for _ in 0..4 {
            if spawn(|| std::thread::sleep(Duration::from_secs(60))).is_err() {
                // SAFETY: the length is that of the text. (println would allocate.)
                unsafe { libc::write(1, c"refused\n".as_ptr().cast(), 8) };
            }
        }
        // SAFETY: ends the test's own process.
        unsafe { libc::_exit(0) };
    }
}

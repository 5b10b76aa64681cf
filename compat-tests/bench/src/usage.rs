// SPDX-License-Identifier: LGPL-2.0-or-later

//! What this process uses: processor time, memory, descriptors, AIO events.

use std::fs;
use std::time::Duration;

/// The memory of the process, in bytes, from smaps_rollup, which is exact (`VmRSS` is not).
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// What is in RAM (`Rss`).
    pub resident: u64,
    /// What is locked there (`Locked`). `VmLck` would also count addresses without memory, such as
    /// those that the allocator reserves for each of its arenas.
    pub locked: u64,
}

/// The processor time that all threads of the process, past ones too, have used so far.
pub fn processor_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec of ours. The clock exists since Linux 2.6.12.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The processor time of all child processes, and theirs, that have ended and been waited for.
pub fn processor_time_of_children() -> Duration {
    let mut used = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills in one rusage, of which all zeros is a value, too.
    let used = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, used.as_mut_ptr());
        used.assume_init()
    };
    let span = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    span(used.ru_utime) + span(used.ru_stime)
}

/// The memory used now.
pub fn memory() -> Memory {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let field = |name: &str| -> u64 {
        rollup
            .lines()
            .find_map(|line| line.strip_prefix(name)?.split_whitespace().next())
            .and_then(|number| number.parse::<u64>().ok())
            .map_or(0, |kib| kib * 1024)
    };
    Memory {
        resident: field("Rss:"),
        locked: field("Locked:"),
    }
}

/// How many descriptors are open.
pub fn descriptors() -> u64 {
    // The listing needs one itself.
    fs::read_dir("/proc/self/fd").map_or(0, |entries| (entries.count() as u64).saturating_sub(1))
}

/// How many AIO contexts the process has. Each of the checkers' counts 1024 against
/// fs.aio-max-nr, whose own count, fs.aio-nr, is the whole system's.
pub fn aio_contexts() -> u64 {
    harness::aio_rings::inspect().map_or(0, |rings| rings.contexts as u64)
}

/// Locks all memory, as multipathd does. Says whether the kernel allowed it.
pub fn lock_memory() -> bool {
    // SAFETY: takes flags only.
    unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) == 0 }
}

/// Gives this thread, and those that it starts, real-time priority, so that other processes cannot delay a
/// thread that holds a lock. Returns whether the kernel allowed it.
pub fn become_real_time() -> bool {
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: reads one sched_param of ours; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const priority) == 0 }
}

/// Raises the limit on descriptors to the hard limit.
pub fn raise_descriptor_limit() {
    let limit = libc::rlimit {
        rlim_cur: 1 << 15,
        rlim_max: 1 << 15,
    };
    // SAFETY: reads one rlimit of ours.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
}

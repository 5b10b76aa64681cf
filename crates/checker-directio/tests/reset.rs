//! What `reset` gives back, and how soon.

#![expect(clippy::unwrap_used, reason = "tests")]

use checker_directio::Directio;
use checkers_core::{Call, Checker, Delivery, MapMemory, Mode, PathState, Seconds};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// How many contexts the paths need, and how many paths each has room for.
const CONTEXTS: usize = 6;
const GROUP_SIZE: usize = 1024;

/// The kernel takes some 30 ms to destroy one context.
const LIMIT: Duration = Duration::from_millis(100);

/// Contexts that this process has: each has a ring mapped.
fn contexts() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains("[aio]")).count()
}

#[test]
fn idle_contexts_go_together_and_make_room_for_new_ones() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(4096).unwrap();
    // A machine with better things to do may take long once.
    let took: Vec<Duration> = (0..5).map(|_| life(&file)).collect();
    assert!(took.iter().any(|took| *took < LIMIT), "{took:?}");
}

/// Makes paths, frees them, and says how long the reset took.
fn life(file: &File) -> Duration {
    let call = Call {
        fd: file.as_raw_fd(),
        timeout: Seconds(5),
        mode: Mode::Async,
        delivery: Delivery::Pending,
        path_state: PathState::Wild,
        map: MapMemory::Absent,
        clock: kernel_fd::monotonic,
    };
    let paths: Vec<_> = (0..CONTEXTS * GROUP_SIZE)
        .map(|_| Directio::init(&call).instance.unwrap())
        .collect();
    assert_eq!(contexts(), CONTEXTS);
    paths.into_iter().for_each(|path| path.free(&call));
    assert_eq!(contexts(), CONTEXTS, "kept for the next paths");
    let start = Instant::now();
    Directio::reset();
    let took = start.elapsed();
    while contexts() > 0 {
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    took
}

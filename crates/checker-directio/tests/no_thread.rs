//! A submission that would have to wait, in a process that can have no more threads.

use checker_directio::Directio;
use checkers_core::{Call, Checker, Delivery, MapMemory, Mode, PathState, Seconds, Verdict, pool};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

static THREADS: AtomicBool = AtomicBool::new(false);

#[test]
fn the_path_is_not_checked_and_is_checked_again_later() {
    pool::set_spawner(|body| match THREADS.load(Relaxed) {
        true => std::thread::Builder::new().spawn(body).map(drop),
        false => Err(std::io::ErrorKind::WouldBlock.into()),
    });
    let directory = tempfile::tempdir().unwrap();
    let name = directory.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&name)
            .status()
            .unwrap()
            .success()
    );
    // Opened for both, since to open it for one only waits for the other.
    let mut to = File::options().read(true).write(true).open(&name).unwrap();
    let from = File::open(&name).unwrap();
    let call = Call {
        fd: from.as_raw_fd(),
        timeout: Seconds(5),
        mode: Mode::Async,
        delivery: Delivery::Pending,
        path_state: PathState::Wild,
        map: MapMemory::Absent,
        clock: kernel_fd::monotonic,
    };
    let mut path = Directio::init(&call).instance.unwrap();
    for _ in 0..3 {
        let verdict = path.check(&call).verdict;
        assert_eq!(verdict.state, PathState::Unchecked);
        assert_eq!(verdict.message.unwrap().as_raw(), 100);
        assert!(!path.need_wait());
    }
    THREADS.store(true, Relaxed);
    assert_eq!(path.check(&call).verdict.state, PathState::Pending);
    to.write_all(&[0; 4096]).unwrap();
    let verdict = eventually(|| {
        let verdict = path.pending(&call).verdict;
        (verdict.state != PathState::Pending).then_some(verdict)
    });
    assert_eq!(verdict, Verdict::UP);
    path.free(&call);
    // The worker may not be back yet.
    eventually(|| {
        Directio::reset();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        (!maps.contains("/[aio]")).then_some(())
    });
}

fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < give_up);
        std::thread::sleep(Duration::from_millis(1));
    }
}

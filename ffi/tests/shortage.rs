//! No memory, no threads, no descriptors, no AIO quota: the process must live, and so must the paths
//! once there is enough again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::*;
use std::os::fd::AsRawFd;

/// One path's life with allocation number `at` failing, or all from there on. Whatever happens, it
/// is the path's own trouble.
fn short_life(shim: Shim, plugin: Plugin, era: u8, fd: i32, at: Option<i64>, from: Option<i64>) {
    let mut checker = Checker::new(plugin, era, fd, 30);
    shim.set(Knob::Allocations, 0);
    shim.set(Knob::FailFrom, from.unwrap_or(0));
    shim.set(Knob::FailAt, at.unwrap_or(0));
    if checker.init() == 0 {
        for _ in 0..3 {
            checker.check();
            checker.need_wait();
            checker.pending();
        }
        checker.free();
    }
    (plugin.reset)();
    shim.set(Knob::FailAt, 0);
    shim.set(Knob::FailFrom, 0);
}

/// Every allocation in turn fails, until a life needs no more of them than that.
fn without_memory(shim: Shim, host: Host, eras: &[u8]) {
    let file = file();
    for &name in ALL {
        let plugin = Plugin::load(name);
        for &era in eras {
            if host == Host::None {
                assert_eq!((plugin.assume)(i32::from(era)), 0);
            }
            // 0: a file that takes no SCSI command, of which cciss_tur tells the standard error.
            for scsi in [2, 3, 0] {
                shim.set(Knob::Scsi, scsi);
                shim.set(Knob::Seed, i64::from(era));
                let fd = file.as_raw_fd();
                for last in [false, true] {
                    let mut n = 1;
                    loop {
                        let (at, from) = if last {
                            (None, Some(n))
                        } else {
                            (Some(n), None)
                        };
                        short_life(shim, plugin, era, fd, at, from);
                        if shim.get(Knob::Allocations) < n {
                            break;
                        }
                        n += 1;
                        assert!(n < 500, "{name} allocates without end");
                    }
                    assert!(n > 1, "no allocation has failed");
                }
            }
            // Nothing has been broken for good.
            shim.set(Knob::Scsi, 2);
            let mut checker = Checker::new(plugin, era, file.as_raw_fd(), 30);
            assert_eq!(checker.init(), 0, "{name}");
            let state = checker.verdict();
            assert!(state != UNCHECKED && state != TIMEOUT, "{name}: {state}");
            checker.free();
            (plugin.reset)();
        }
    }
}

#[test]
fn no_allocation_that_fails_ends_the_process() {
    alone(
        "no_allocation_that_fails_ends_the_process",
        Host::None,
        |shim| {
            without_memory(shim, Host::None, b"BCD");
        },
    );
}

#[test]
fn nor_under_a_host_that_hears_of_it() {
    alone("nor_under_a_host_that_hears_of_it", Host::C, |shim| {
        without_memory(shim, Host::C, b"C");
    });
}

#[test]
fn without_threads_a_path_is_unchecked_and_recovers() {
    alone(
        "without_threads_a_path_is_unchecked_and_recovers",
        Host::None,
        |shim| {
            shim.set(Knob::Scsi, 2);
            for &name in SCSI {
                for era in *b"BCD" {
                    let plugin = Plugin::load_for(name, era);
                    (plugin.reset)();
                    within(|| threads() == 2);
                    shim.set(Knob::ThreadError, i64::from(libc::EAGAIN));
                    let mut checker = Checker::new(plugin, era, 0, 30);
                    assert_eq!(checker.init(), 0);
                    for _ in 0..3 {
                        assert_eq!(checker.check(), UNCHECKED, "{name}");
                        assert!(checker.message() >= 100);
                        assert!(!checker.need_wait());
                    }
                    shim.set(Knob::ThreadError, 0);
                    assert!(checker.verdict() > UNCHECKED || name == "cciss_tur");
                    checker.free();
                    (plugin.reset)();
                }
            }
        },
    );
}

#[test]
fn a_check_that_nobody_could_begin_does_not_time_out() {
    alone(
        "a_check_that_nobody_could_begin_does_not_time_out",
        Host::None,
        |shim| {
            let plugin = Plugin::load_for("tur", b'C');
            // Every worker there is hangs, and there are no more to be had.
            let before = threads();
            shim.set(Knob::Scsi, 1);
            let mut hung = Vec::new();
            let mut hang_one_more = || {
                let mut path = Checker::new(plugin, b'C', 0, 1000);
                assert_eq!(path.init(), 0);
                path.check();
                hung.push(path);
            };
            hang_one_more();
            within(|| shim.get(Knob::ScsiInside) == 1);
            shim.set(Knob::ThreadError, i64::from(libc::EAGAIN));
            // The one that starts workers has none to start by now, or gets none.
            within(|| {
                let workers = threads() - before - 1;
                if shim.get(Knob::ScsiInside) < workers as i64 {
                    hang_one_more();
                }
                shim.get(Knob::ScsiInside) == workers as i64
            });
            let mut healthy = Checker::new(plugin, b'C', 0, 0);
            assert_eq!(healthy.init(), 0);
            let start = std::time::Instant::now();
            let mut states = std::collections::BTreeSet::new();
            while start.elapsed() < std::time::Duration::from_secs(4) {
                states.insert(healthy.round());
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            assert!(
                !states.contains(&TIMEOUT),
                "a time limit that never began: {states:?}"
            );
            shim.set(Knob::ThreadError, 0);
            shim.set(Knob::Scsi, 2);
            for path in &mut hung {
                assert_eq!(path.verdict(), UP);
                path.free();
            }
            within(|| healthy.round() == UP);
            healthy.free();
        },
    );
}

#[test]
fn without_descriptors_and_aio_quota() {
    alone("without_descriptors_and_aio_quota", Host::None, |shim| {
        shim.set(Knob::Scsi, 2);
        let file = file();
        let plugins: Vec<_> = ALL
            .iter()
            .map(|name| Plugin::load_for(name, b'C'))
            .collect();
        let nothing = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: lowers a limit of this process, which is the test's own.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &nothing) }, 0);
        for (&name, plugin) in ALL.iter().zip(plugins) {
            let mut checker = Checker::new(plugin, b'C', file.as_raw_fd(), 30);
            if name == "directio" {
                shim.set(Knob::Aio, 2);
                assert_eq!(checker.init(), 1);
                assert_eq!(checker.context(), 0);
                shim.set(Knob::Aio, 0);
            }
            assert_eq!(checker.init(), 0);
            let verdict = checker.verdict();
            // A worker that is to submit a read of directio needs a descriptor.
            let checked = name == "directio" || verdict != UNCHECKED;
            assert!(checked && verdict != TIMEOUT, "{name}");
            checker.free();
        }
    });
}

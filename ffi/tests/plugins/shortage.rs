// SPDX-License-Identifier: LGPL-2.0-or-later

//! No memory, no threads, no descriptors, no AIO quota: the process must survive, and so must the paths
//! once there is enough again.

use crate::isolated::*;
use crate::path::*;
use crate::system::*;
use harness::abi::Abi;
use harness::state::State;
use std::os::fd::AsRawFd;

/// Uses one path while allocation number `at` fails, or all from `from` on. Only this path may be affected.
fn short_use(
    system: System,
    plugin: &Loaded,
    abi: Abi,
    fd: i32,
    at: Option<i64>,
    from: Option<i64>,
) {
    let mut checker = Path::new(plugin, abi, fd, 30);
    system.set(Setting::Allocations, 0);
    system.set(Setting::FailFrom, from.unwrap_or(0));
    system.set(Setting::FailAt, at.unwrap_or(0));
    if checker.init() == 0 {
        for _ in 0..3 {
            checker.check();
            checker.need_wait();
            checker.pending();
        }
        checker.free();
    }
    plugin.reset();
    system.set(Setting::FailAt, 0);
    system.set(Setting::FailFrom, 0);
}

/// Every allocation in turn fails, until a path's use needs no further one.
fn without_memory(system: System, host: Option<Abi>, abis: &[Abi]) {
    let file = file();
    for &name in ALL {
        let plugin = Loaded::open(name);
        for &abi in abis {
            if host.is_none() {
                assert_eq!(plugin.assume(abi), 0);
            }
            // 0: a file that takes no SCSI command, which cciss_tur reports on standard error.
            for scsi in [2, 3, 0] {
                system.set(Setting::Scsi, scsi);
                system.set(Setting::Seed, i64::from(abi.letter()));
                let fd = file.as_raw_fd();
                for last in [false, true] {
                    let mut n = 1;
                    loop {
                        let (at, from) = if last {
                            (None, Some(n))
                        } else {
                            (Some(n), None)
                        };
                        short_use(system, &plugin, abi, fd, at, from);
                        if system.get(Setting::Allocations) < n {
                            break;
                        }
                        n += 1;
                        assert!(n < 500, "{name} allocates without end");
                    }
                    assert!(n > 1, "no allocation has failed");
                }
            }
            // Nothing has been broken for good.
            system.set(Setting::Scsi, 2);
            let mut checker = Path::new(&plugin, abi, file.as_raw_fd(), 30);
            assert_eq!(checker.init(), 0, "{name}");
            let state = checker.verdict();
            assert!(
                state != State::UNCHECKED && state != State::TIMEOUT,
                "{name}: {state}"
            );
            checker.free();
            plugin.reset();
        }
    }
}

#[test]
fn no_allocation_that_fails_ends_the_process() {
    isolated(None, |system| {
        without_memory(system, None, &ABIS);
    });
}

#[test]
fn nor_under_a_host_with_a_log() {
    isolated(Some(Abi::V0_11), |system| {
        without_memory(system, Some(Abi::V0_11), &[Abi::V0_11]);
    });
}

#[test]
fn without_threads_a_path_is_unchecked_and_recovers() {
    isolated(None, |system| {
        system.set(Setting::Scsi, 2);
        for &name in SCSI {
            for abi in ABIS {
                let plugin = Loaded::assuming(name, abi);
                plugin.reset();
                within(|| threads() == 2);
                system.set(Setting::ThreadError, i64::from(libc::EAGAIN));
                let mut checker = Path::new(&plugin, abi, 0, 30);
                assert_eq!(checker.init(), 0);
                for _ in 0..3 {
                    assert_eq!(checker.check(), State::UNCHECKED, "{name}");
                    assert!(checker.message() >= 100);
                    assert!(!checker.need_wait());
                }
                system.set(Setting::ThreadError, 0);
                assert!(checker.verdict() > State::UNCHECKED || name == "cciss_tur");
                checker.free();
                plugin.reset();
            }
        }
    });
}

#[test]
fn a_check_that_no_worker_could_begin_does_not_time_out() {
    isolated(None, |system| {
        let plugin = Loaded::assuming("tur", Abi::V0_11);
        // Every worker there is hangs, and there are no more to be had.
        let before = threads();
        system.set(Setting::Scsi, 1);
        let mut hung = Vec::new();
        let mut hang_one_more = || {
            let mut path = Path::new(&plugin, Abi::V0_11, 0, 1000);
            assert_eq!(path.init(), 0);
            path.check();
            hung.push(path);
        };
        hang_one_more();
        within(|| system.get(Setting::ScsiInside) == 1);
        system.set(Setting::ThreadError, i64::from(libc::EAGAIN));
        // By now the starter has no worker left to start, or gets no thread for one.
        within(|| {
            let workers = threads() - before - 1;
            if system.get(Setting::ScsiInside) < workers as i64 {
                hang_one_more();
            }
            system.get(Setting::ScsiInside) == workers as i64
        });
        let mut healthy = Path::new(&plugin, Abi::V0_11, 0, 0);
        assert_eq!(healthy.init(), 0);
        let start = std::time::Instant::now();
        let mut states = std::collections::BTreeSet::new();
        while start.elapsed() < std::time::Duration::from_secs(4) {
            states.insert(healthy.round());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert!(
            !states.contains(&State::TIMEOUT),
            "a time limit that never began: {states:?}"
        );
        system.set(Setting::ThreadError, 0);
        system.set(Setting::Scsi, 2);
        for path in &mut hung {
            assert_eq!(path.verdict(), State::UP);
            path.free();
        }
        within(|| healthy.round() == State::UP);
        healthy.free();
    });
}

#[test]
fn without_descriptors_and_aio_quota() {
    isolated(None, |system| {
        system.set(Setting::Scsi, 2);
        let file = file();
        let plugins: Vec<_> = ALL
            .iter()
            .map(|name| Loaded::assuming(name, Abi::V0_11))
            .collect();
        let nothing = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: lowers a limit of this process, which is the test's own.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &nothing) }, 0);
        for (&name, plugin) in ALL.iter().zip(plugins) {
            let mut checker = Path::new(&plugin, Abi::V0_11, file.as_raw_fd(), 30);
            if name == "directio" {
                system.set(Setting::Aio, 2);
                assert_eq!(checker.init(), 1);
                assert!(!checker.has_instance());
                system.set(Setting::Aio, 0);
            }
            assert_eq!(checker.init(), 0);
            let verdict = checker.verdict();
            // A worker that is to submit a read of directio needs a descriptor.
            let checked = name == "directio" || verdict != State::UNCHECKED;
            assert!(checked && verdict != State::TIMEOUT, "{name}");
            checker.free();
        }
    });
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Calls in orders that no host makes, with arguments that no host passes.

use crate::isolated::*;
use crate::path::*;
use crate::system::*;
use harness::abi::Abi;
use harness::state::State;
use std::ffi::c_int;
use std::os::fd::AsRawFd;
use std::ptr::null_mut;

#[test]
fn null_is_refused_by_every_function() {
    isolated(None, |_| {
        for abi in [None, Some(Abi::V0_7_9)] {
            for &name in ALL {
                let plugin = Loaded::open(name);
                if let Some(abi) = abi {
                    assert_eq!(plugin.assume(abi), 0);
                }
                let entries = plugin.entries();
                // SAFETY: every function accepts NULL.
                unsafe {
                    assert_eq!(entries.init(null_mut()), 1);
                    assert_eq!(entries.check(null_mut(), null_mut()), State::UNCHECKED);
                    assert_eq!(
                        entries.pending(null_mut(), null_mut()),
                        Some(State::UNCHECKED)
                    );
                    assert_eq!(entries.need_wait(null_mut()), Some(false));
                    entries.free(null_mut());
                    assert_ne!(entries.mp_init(null_mut()), Some(0));
                }
            }
        }
    });
}

#[test]
fn nothing_is_touched_before_the_abi_is_known() {
    isolated(None, |_| {
        for &name in ALL {
            let plugin = Loaded::open(name);
            let mut checker = Path::new(&plugin, Abi::V0_11, 0, 1);
            plugin.reset();
            assert_eq!(checker.init(), 1);
            assert_eq!(checker.check(), State::UNCHECKED);
            assert_eq!(checker.pending(), State::UNCHECKED);
            assert!(!checker.need_wait());
            checker.free();
            assert_eq!((checker.message(), checker.has_instance()), (0, false));
            for nonsense in [
                0,
                c_int::from(b'A'),
                c_int::from(b'E'),
                -1,
                c_int::MAX,
                0x142,
            ] {
                assert_eq!(plugin.assume_letter(nonsense), -1);
            }
        }
    });
}

#[test]
fn any_order_of_calls_with_every_abi() {
    isolated(None, |system| {
        system.set(Setting::Scsi, 2);
        let file = file();
        for &name in ALL {
            for abi in ABIS {
                let plugin = Loaded::assuming(name, abi);
                let mut checker = Path::new(&plugin, abi, file.as_raw_fd(), 30);
                // Before init, and after free, twice.
                for _ in 0..2 {
                    assert_eq!(checker.check(), State::UNCHECKED);
                    assert_eq!(checker.pending(), State::UNCHECKED);
                    assert!(!checker.need_wait());
                    plugin.reset();
                    checker.free();
                    checker.free();
                    assert_eq!(checker.init(), 0, "{name} {}", abi);
                    plugin.reset();
                    assert!(!checker.need_wait());
                    checker.pending();
                    assert_ne!(checker.verdict(), State::UNCHECKED);
                    if let Some(code) = checker.mp_init() {
                        assert_eq!(code, 0);
                    }
                    checker.check();
                    plugin.reset();
                    assert_ne!(checker.verdict(), State::UNCHECKED);
                    checker.free();
                }
            }
        }
    });
}

#[test]
fn the_abi_cannot_change_under_an_instance() {
    isolated(None, |_| {
        let plugin = Loaded::assuming("tur", Abi::V0_7_9);
        let mut checker = Path::new(&plugin, Abi::V0_7_9, -1, 1);
        assert_eq!(checker.init(), 0);
        for (abi, taken) in [(Abi::V0_11, -1), (Abi::V0_15, -1), (Abi::V0_7_9, 0)] {
            assert_eq!(plugin.assume(abi), taken);
        }
        checker.free();
        assert_eq!(plugin.assume(Abi::V0_11), 0);
        let mut checker = Path::new(&plugin, Abi::V0_11, -1, 1);
        assert_eq!(checker.init(), 0);
        checker.free();
        // A host that frees twice does not count instances below zero.
        checker.free();
        assert_eq!(plugin.assume(Abi::V0_15), 0);
    });
}

#[test]
fn a_map_has_its_memory_even_under_a_host_that_does_not_ask() {
    isolated(None, |_| {
        for (abi, after_init) in [
            (Abi::V0_7_9, true),
            (Abi::V0_11, false),
            (Abi::V0_15, false),
        ] {
            let plugin = Loaded::assuming("emc_clariion", abi);
            let mut checker = Path::new(&plugin, abi, -1, 1);
            assert_eq!(checker.init(), 0);
            assert_eq!(checker.map_value(), after_init.then_some(0));
            checker.set_map_value(7);
            assert_eq!(checker.mp_init(), Some(0));
            let value = if after_init { 7 } else { 0 };
            assert_eq!(
                checker.map_value(),
                (abi != Abi::V0_15).then_some(value),
                "given twice"
            );
            assert_eq!(checker.mp_init(), Some(0));
            checker.free();
        }
    });
}

#[test]
fn odd_descriptors_and_time_limits() {
    isolated(None, |_| {
        let closed = 1000;
        let (socket, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let file = file();
        let fds = [
            -1,
            c_int::MIN,
            c_int::MAX,
            closed,
            socket.as_raw_fd(),
            null.as_raw_fd(),
            file.as_raw_fd(),
        ];
        for &name in ALL {
            for abi in ABIS {
                let plugin = Loaded::assuming(name, abi);
                for fd in fds {
                    for timeout in [0, 1, i32::MAX as u32, u32::MAX] {
                        let mut checker = Path::new(&plugin, abi, fd, timeout);
                        if checker.init() == 0 {
                            let state = checker.verdict();
                            let good = name == "directio" && fd == file.as_raw_fd();
                            // With ABI 0.7.9 directio counts polls, not seconds: a busy disk, or a worker that
                            // has not begun, may be too slow for the shortest limits.
                            let slow = [State::DOWN, State::UNCHECKED].contains(&state);
                            let late = good && timeout <= 1 && slow;
                            assert!(
                                (state == State::UP) == good || late,
                                "{name} {} fd {fd} timeout {timeout}: {state}",
                                abi
                            );
                            checker.set_fd(closed);
                            checker.verdict();
                            checker.free();
                        }
                    }
                }
            }
        }
    });
}

/// Under a host with libmultipath no letter is accepted, and each layout is the right one.
fn under_a_real_host(system: System, abi: Abi) {
    system.set(Setting::Scsi, 2);
    let file = file();
    for sync in [0, 1] {
        system.set(Setting::Sync, sync);
        for &name in ALL {
            let plugin = Loaded::open(name);
            for other in ABIS {
                assert_eq!(plugin.assume(other), -1);
            }
            let mut checker = Path::new(&plugin, abi, file.as_raw_fd(), 30);
            assert_eq!(checker.init(), 0);
            for _ in 0..3 {
                let state = if sync == 1 {
                    checker.check()
                } else {
                    checker.verdict()
                };
                assert!(
                    state != State::PENDING && state != State::UNCHECKED,
                    "{name} {state}"
                );
            }
            checker.free();
            plugin.reset();
        }
    }
    assert!(system.get(Setting::Lines) > 0, "nothing went to dlog");
}

#[test]
fn under_a_host_of_0_7_9() {
    isolated(Some(Abi::V0_7_9), |system| {
        under_a_real_host(system, Abi::V0_7_9)
    });
}

#[test]
fn under_a_host_of_0_11() {
    isolated(Some(Abi::V0_11), |system| {
        under_a_real_host(system, Abi::V0_11)
    });
}

#[test]
fn under_a_host_of_0_15() {
    isolated(Some(Abi::V0_15), |system| {
        under_a_real_host(system, Abi::V0_15)
    });
}

//! Calls in orders that no host makes, with arguments that no host passes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::*;
use std::ffi::c_int;
use std::os::fd::AsRawFd;
use std::ptr::null_mut;

#[test]
fn null_is_refused_by_every_function() {
    alone("null_is_refused_by_every_function", Host::None, |_| {
        for era in [None, Some(b'B')] {
            for &name in ALL {
                let plugin = Plugin::load(name);
                if let Some(era) = era {
                    assert_eq!((plugin.assume)(c_int::from(era)), 0);
                }
                // SAFETY: NULL is what every function has to expect.
                unsafe {
                    assert_eq!((plugin.init)(null_mut()), 1);
                    assert_eq!((plugin.check)(null_mut(), null_mut()), UNCHECKED);
                    assert_eq!((plugin.pending)(null_mut(), null_mut()), UNCHECKED);
                    assert!(!(plugin.need_wait)(null_mut()));
                    (plugin.free)(null_mut());
                    if let Some(mp_init) = plugin.mp_init {
                        assert_eq!(mp_init(null_mut()), 1);
                    }
                }
            }
        }
    });
}

#[test]
fn nothing_is_touched_before_the_era_is_known() {
    alone(
        "nothing_is_touched_before_the_era_is_known",
        Host::None,
        |_| {
            for &name in ALL {
                let plugin = Plugin::load(name);
                let mut checker = Checker::new(plugin, b'C', 0, 1);
                (plugin.reset)();
                assert_eq!(checker.init(), 1);
                assert_eq!(checker.check(), UNCHECKED);
                assert_eq!(checker.pending(), UNCHECKED);
                assert!(!checker.need_wait());
                checker.free();
                assert_eq!((checker.message(), checker.context()), (0, 0));
                for nonsense in [
                    0,
                    c_int::from(b'A'),
                    c_int::from(b'E'),
                    -1,
                    c_int::MAX,
                    0x142,
                ] {
                    assert_eq!((plugin.assume)(nonsense), -1);
                }
            }
        },
    );
}

#[test]
fn any_order_of_calls_in_every_era() {
    alone("any_order_of_calls_in_every_era", Host::None, |shim| {
        shim.set(Knob::Scsi, 2);
        let file = file();
        for &name in ALL {
            for era in *b"BCD" {
                let plugin = Plugin::load_for(name, era);
                let mut checker = Checker::new(plugin, era, file.as_raw_fd(), 30);
                // Before init, and after free, twice.
                for _ in 0..2 {
                    assert_eq!(checker.check(), UNCHECKED);
                    assert_eq!(checker.pending(), UNCHECKED);
                    assert!(!checker.need_wait());
                    (plugin.reset)();
                    checker.free();
                    checker.free();
                    assert_eq!(checker.init(), 0, "{name} {}", era as char);
                    (plugin.reset)();
                    assert!(!checker.need_wait());
                    checker.pending();
                    assert_ne!(checker.verdict(), UNCHECKED);
                    if let Some(code) = checker.mp_init() {
                        assert_eq!(code, 0);
                    }
                    checker.check();
                    (plugin.reset)();
                    assert_ne!(checker.verdict(), UNCHECKED);
                    checker.free();
                }
            }
        }
    });
}

#[test]
fn the_era_cannot_change_under_an_instance() {
    alone(
        "the_era_cannot_change_under_an_instance",
        Host::None,
        |_| {
            let plugin = Plugin::load_for("tur", b'B');
            let mut checker = Checker::new(plugin, b'B', -1, 1);
            assert_eq!(checker.init(), 0);
            for (era, taken) in [(b'C', -1), (b'D', -1), (b'B', 0)] {
                assert_eq!((plugin.assume)(c_int::from(era)), taken);
            }
            checker.free();
            assert_eq!((plugin.assume)(c_int::from(b'C')), 0);
            let mut checker = Checker::new(plugin, b'C', -1, 1);
            assert_eq!(checker.init(), 0);
            checker.free();
            // A host that frees twice does not count instances below zero.
            checker.free();
            assert_eq!((plugin.assume)(c_int::from(b'D')), 0);
        },
    );
}

#[test]
fn a_map_has_its_memory_even_under_a_host_that_does_not_ask() {
    alone(
        "a_map_has_its_memory_even_under_a_host_that_does_not_ask",
        Host::None,
        |_| {
            for (era, after_init) in [(b'B', true), (b'C', false), (b'D', false)] {
                let plugin = Plugin::load_for("emc_clariion", era);
                let mut checker = Checker::new(plugin, era, -1, 1);
                assert_eq!(checker.init(), 0);
                assert_eq!(!checker.map.is_null(), after_init);
                let before = *checker.map;
                assert_eq!(checker.mp_init(), Some(0));
                assert_eq!(!checker.map.is_null(), era != b'D');
                assert!(before.is_null() || before == *checker.map, "given twice");
                assert_eq!(checker.mp_init(), Some(0));
                checker.free();
            }
        },
    );
}

#[test]
fn odd_descriptors_and_time_limits() {
    alone("odd_descriptors_and_time_limits", Host::None, |_| {
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
            for era in *b"BCD" {
                let plugin = Plugin::load_for(name, era);
                for fd in fds {
                    for timeout in [0, 1, i32::MAX as u32, u32::MAX] {
                        let mut checker = Checker::new(plugin, era, fd, timeout);
                        if checker.init() == 0 {
                            let state = checker.verdict();
                            let good = name == "directio" && fd == file.as_raw_fd();
                            // Era B counts its looks, not seconds: a busy disk may be too slow for
                            // the shortest limits.
                            let late = good && timeout <= 1 && state == DOWN;
                            assert!(
                                (state == UP) == good || late,
                                "{name} {} fd {fd} timeout {timeout}: {state}",
                                era as char
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

/// Under a host that has libmultipath nobody's word is taken, and each layout is the right one.
fn under_a_real_host(shim: Shim, era: u8) {
    shim.set(Knob::Scsi, 2);
    let file = file();
    for sync in [0, 1] {
        shim.set(Knob::Sync, sync);
        for &name in ALL {
            let plugin = Plugin::load(name);
            for other in *b"BCD" {
                assert_eq!((plugin.assume)(c_int::from(other)), -1);
            }
            let mut checker = Checker::new(plugin, era, file.as_raw_fd(), 30);
            assert_eq!(checker.init(), 0);
            for _ in 0..3 {
                let state = if sync == 1 {
                    checker.check()
                } else {
                    checker.verdict()
                };
                assert!(state != PENDING && state != UNCHECKED, "{name} {state}");
            }
            checker.free();
            (plugin.reset)();
        }
    }
    assert!(shim.get(Knob::Lines) > 0, "nothing went to dlog");
}

#[test]
fn under_a_host_of_era_b() {
    alone("under_a_host_of_era_b", Host::B, |shim| {
        under_a_real_host(shim, b'B')
    });
}

#[test]
fn under_a_host_of_era_c() {
    alone("under_a_host_of_era_c", Host::C, |shim| {
        under_a_real_host(shim, b'C')
    });
}

#[test]
fn under_a_host_of_era_d() {
    alone("under_a_host_of_era_d", Host::D, |shim| {
        under_a_real_host(shim, b'D')
    });
}

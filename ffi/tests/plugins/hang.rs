// SPDX-License-Identifier: LGPL-2.0-or-later

//! Devices that do not reply, and what hosts do meanwhile: cancel threads, fork, unload, end.

use crate::isolated::*;
use crate::path::*;
use crate::system::*;
use harness::abi::Abi;
use harness::state::State;
use std::ffi::{c_int, c_void};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A completion ring in the test's memory instead of the kernel's: requests stay in flight until the test
/// adds an event.
fn own_ring(system: System) -> &'static mut [u32] {
    let size = 4096 + 32 * 2048;
    // SAFETY: a new anonymous mapping, which is never unmapped.
    let ring = unsafe {
        let memory = libc::mmap(
            std::ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(memory, libc::MAP_FAILED);
        std::slice::from_raw_parts_mut(memory.cast::<u32>(), size / 4)
    };
    ring[..8].copy_from_slice(&[0, 2048, 0, 0, 0xa10a_10a1, 1, 0, 32]);
    system.set(Setting::Ring, ring.as_ptr().expose_provenance() as i64);
    system.set(Setting::Aio, 1);
    ring
}

/// Puts an event into the ring.
fn complete(ring: &mut [u32], data: i64, res: i64) {
    let tail = ring[3] as usize;
    let at = 8 + 8 * tail;
    ring[at] = data as u32;
    ring[at + 1] = (data >> 32) as u32;
    ring[at + 4] = res as u32;
    ring[at + 5] = (res >> 32) as u32;
    std::sync::atomic::fence(Ordering::SeqCst);
    // SAFETY: a word of the ring, which is never unmapped; the plugin reads it from this thread.
    unsafe { (&raw mut ring[3]).write_volatile((tail as u32 + 1) % 2048) };
}

#[test]
fn no_call_waits_for_a_hung_device() {
    isolated(None, |system| {
        let _ring = own_ring(system);
        let file = file();
        for abi in ABIS {
            for &name in ALL {
                system.set(Setting::Scsi, 1);
                let plugin = Loaded::assuming(name, abi);
                let start = Instant::now();
                let mut paths: Vec<_> = (0..20)
                    .map(|_| Path::new(&plugin, abi, file.as_raw_fd(), 1))
                    .collect();
                for path in &mut paths {
                    assert_eq!(path.init(), 0);
                }
                for _ in 0..4 {
                    for path in &mut paths {
                        assert!(
                            [State::PENDING, State::TIMEOUT, State::DOWN].contains(&path.round()),
                            "{name}"
                        );
                    }
                    plugin.reset();
                }
                for path in &mut paths {
                    path.free();
                }
                plugin.reset();
                // 20 × (init, 4 × (check, wait, pending)) with waits of a millisecond each.
                assert!(start.elapsed() < Duration::from_secs(3), "{name}");
                system.set(Setting::Scsi, 2);
                within(|| system.get(Setting::ScsiInside) == 0);
            }
        }
    });
}

#[test]
fn a_context_that_no_thread_can_destroy_is_destroyed_later() {
    isolated(None, |system| {
        let _ring = own_ring(system);
        let file = file();
        let plugin = Loaded::assuming("directio", Abi::V0_11);
        let mut checker = Path::new(&plugin, Abi::V0_11, file.as_raw_fd(), 30);
        assert_eq!(checker.init(), 0);
        assert_eq!(checker.round(), State::PENDING);
        checker.free();
        system.set(Setting::ThreadError, i64::from(libc::EAGAIN));
        // Not even for a line of log.
        system.set(Setting::FailAt, 0);
        system.set(Setting::Allocations, 0);
        system.set(Setting::FailFrom, 1);
        for _ in 0..3 {
            plugin.reset();
        }
        system.set(Setting::FailFrom, 0);
        assert_eq!(system.get(Setting::AioDestroyed), 0);
        system.set(Setting::ThreadError, 0);
        plugin.reset();
        within(|| system.get(Setting::AioDestroyed) == 1);
    });
}

#[test]
fn freed_and_unloaded_while_workers_hang() {
    isolated(None, |system| {
        let file = file();
        for round in 0..20 {
            for &name in SCSI {
                system.set(Setting::Scsi, 1);
                let plugin = Loaded::assuming(name, Abi::V0_11);
                let mut checker = Path::new(&plugin, Abi::V0_11, file.as_raw_fd(), 1);
                assert_eq!(checker.init(), 0);
                checker.check();
                if round % 2 == 0 {
                    within(|| system.get(Setting::ScsiInside) > 0);
                }
                checker.free();
                plugin.reset();
                plugin.unload();
                system.set(Setting::Scsi, 2);
                within(|| system.get(Setting::ScsiInside) == 0);
            }
        }
        within(|| threads() == 2);
    });
}

static ROUNDS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C-unwind" {
    /// Declared anew because a cancellation unwinds out of it.
    fn usleep(micros: u32) -> c_int;
}

unsafe extern "C" {
    fn pthread_cancel(thread: libc::pthread_t) -> c_int;
}

/// What a host's thread does until it is cancelled: rounds, with a cancellation point outside of the
/// plugin. The frame that the cancellation unwinds has nothing to drop.
extern "C-unwind" fn victim(argument: *mut c_void) -> *mut c_void {
    // SAFETY: the test passes its checker and leaves it alone until it has joined the thread.
    let checker = unsafe { &mut *argument.cast::<Path>() };
    loop {
        checker.complete_use();
        ROUNDS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: takes a number.
        unsafe { usleep(1) };
    }
}

#[test]
fn a_cancelled_host_thread_leaves_no_lock_behind() {
    isolated(Some(Abi::V0_11), |system| {
        system.set(Setting::Scsi, 2);
        let file = file();
        // SAFETY: the type of a start routine, except for unwinding.
        let start = unsafe {
            std::mem::transmute::<
                extern "C-unwind" fn(*mut c_void) -> *mut c_void,
                extern "C" fn(*mut c_void) -> *mut c_void,
            >(victim)
        };
        for &name in ALL {
            let plugin = Loaded::open(name);
            for round in 0..60_u32 {
                let mut checker = Path::new(&plugin, Abi::V0_11, file.as_raw_fd(), 30);
                let before = ROUNDS.load(Ordering::SeqCst);
                let mut thread = 0;
                let argument = (&raw mut checker).cast();
                // SAFETY: the thread is joined below, before `checker` goes.
                let code =
                    unsafe { libc::pthread_create(&mut thread, std::ptr::null(), start, argument) };
                assert_eq!(code, 0);
                if round % 3 != 0 {
                    within(|| ROUNDS.load(Ordering::SeqCst) > before);
                }
                std::thread::sleep(Duration::from_micros(u64::from(round) * 7));
                let mut result = std::ptr::null_mut();
                // SAFETY: the thread runs until it is cancelled, and is joined once.
                unsafe {
                    assert_eq!(pthread_cancel(thread), 0);
                    assert_eq!(libc::pthread_join(thread, &mut result), 0);
                }
                let cancelled = std::ptr::without_provenance_mut(usize::MAX);
                assert_eq!(result, cancelled, "not ended by the cancellation");
            }
            let mut checker = Path::new(&plugin, Abi::V0_11, file.as_raw_fd(), 30);
            assert_eq!(checker.init(), 0);
            assert!(![State::UNCHECKED, State::TIMEOUT].contains(&checker.verdict()));
            checker.free();
            plugin.reset();
        }
    });
}

#[test]
fn a_child_process_checks_by_itself() {
    isolated(None, |system| {
        system.set(Setting::Scsi, 2);
        let file = file();
        for &name in ALL {
            let plugin = Loaded::assuming(name, Abi::V0_11);
            let mut old = Path::new(&plugin, Abi::V0_11, file.as_raw_fd(), 2);
            assert_eq!(old.init(), 0);
            let expected = old.verdict();
            // The workers are idle now; in the child they do not exist.
            std::thread::sleep(Duration::from_millis(50));
            // SAFETY: the other threads of this process hold no lock that the child needs: they wait.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let mut code = 0;
                code |= c_int::from(old.verdict() != expected);
                old.free();
                plugin.reset();
                let mut new = Path::new(&plugin, Abi::V0_11, file.as_raw_fd(), 2);
                code |= c_int::from(new.init() != 0) << 1;
                code |= c_int::from(new.verdict() != expected) << 2;
                new.free();
                // SAFETY: ends the child without running anything of the parent's.
                unsafe { libc::_exit(code) };
            }
            let mut status = 0;
            // SAFETY: our own child, and a place for its status.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0, "{name}");
            assert_eq!(old.verdict(), expected, "the parent is not affected");
            old.free();
        }
    });
}

#[test]
fn completions_that_no_kernel_writes() {
    isolated(None, |system| {
        let ring = own_ring(system);
        let file = file();
        let plugin = Loaded::assuming("directio", Abi::V0_11);
        let mut checker = Path::new(&plugin, Abi::V0_11, file.as_raw_fd(), 30);
        assert_eq!(checker.init(), 0);
        for (res, expected) in [
            (4096, State::UP),
            (512, State::DOWN),
            (0, State::DOWN),
            (-5, State::DOWN),
            (i64::MAX, State::DOWN),
            (i64::MIN, State::DOWN),
            (4096 + (1 << 32), State::DOWN),
        ] {
            assert_eq!(checker.round(), State::PENDING);
            let key = system.get(Setting::LastKey);
            for other in [0, -1, key ^ 1, key ^ (1 << 16), key ^ (1 << 40), i64::MIN] {
                complete(ring, other, 4096);
                assert_eq!(
                    checker.pending(),
                    State::PENDING,
                    "an event of another request"
                );
            }
            complete(ring, key, res);
            complete(ring, key, 4096);
            complete(ring, key, -5);
            assert_eq!(checker.pending(), expected, "{res}");
            complete(ring, key, 4096);
        }
        // An index beyond the ring.
        assert_eq!(checker.round(), State::PENDING);
        ring[3] = u32::MAX;
        checker.pending();
        ring[2] = u32::MAX - 7;
        checker.pending();
        checker.free();
        plugin.reset();
    });
}

#[test]
fn a_device_with_random_replies() {
    isolated(None, |system| {
        for &name in SCSI {
            let plugin = Loaded::assuming(name, Abi::V0_15);
            let mut checker = Path::new(&plugin, Abi::V0_15, 0, u32::MAX);
            system.set(Setting::Scsi, 3);
            for seed in 0..200 {
                system.set(Setting::Seed, seed);
                if !checker.has_instance() {
                    assert_eq!(checker.init(), 0);
                }
                let mut state = State::PENDING;
                // A target in transition is pending as well.
                for _ in 0..3 {
                    state = checker.round();
                }
                assert!((0..=10).contains(&state.0), "{name}: {state}");
                assert!((0..200).contains(&checker.message()), "{name}");
                if seed % 5 == 0 {
                    checker.free();
                }
            }
            system.set(Setting::Scsi, 2);
            if checker.has_instance() {
                checker.free();
            }
        }
    });
}

#[test]
fn many_threads_on_paths_of_their_own() {
    isolated(None, |system| {
        system.set(Setting::Scsi, 2);
        let file = file();
        let fd = file.as_raw_fd();
        for &name in ALL {
            let plugin = Loaded::assuming(name, Abi::V0_11);
            let plugin = &plugin;
            std::thread::scope(|scope| {
                for thread in 0..8 {
                    scope.spawn(move || {
                        for round in 0..100 {
                            let mut checker = Path::new(plugin, Abi::V0_11, fd, 30);
                            assert_eq!(checker.init(), 0);
                            match (thread + round) % 4 {
                                0 => {}
                                1 => drop(checker.check()),
                                2 => drop(checker.round()),
                                _ => assert!(
                                    ![State::UNCHECKED, State::TIMEOUT]
                                        .contains(&checker.verdict()),
                                    "{name}"
                                ),
                            }
                            checker.free();
                            if round % 10 == 0 {
                                plugin.reset();
                            }
                        }
                    });
                }
            });
            plugin.reset();
        }
        within(|| threads() == 2);
    });
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! A child process with the instances of its parent.

use crate::support::{Path, alone, contexts, pipe, until_submitting};
use checker_directio::Directio;
use checkers_core::pool::POOL;
use checkers_core::{Checker, PathState, Verdict};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, alarm, fork};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Runs `child` in a child process, which has ten seconds. Returns whether that returned `true`.
fn in_child(child: impl FnOnce() -> bool) -> bool {
    let held = (Directio::lock_shared().unwrap(), POOL.hold());
    // SAFETY: the child only does what glibc allows after a fork of a process with threads: besides
    // system calls it allocates and frees memory.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            drop(held);
            // Ends a child that hangs.
            alarm::set(10);
            let right = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
            // SAFETY: ends the child at once, without the parent's clean-up.
            unsafe { libc::_exit(i32::from(!right.unwrap_or(false))) }
        }
        ForkResult::Parent { child } => {
            drop(held);
            waitpid(child, None) == Ok(WaitStatus::Exited(child, 0))
        }
    }
}

fn file() -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(4096).unwrap();
    file
}

/// A check by a host that polls until the verdict is known.
fn is_up(path: &mut Path) -> bool {
    path.check();
    path.verdict() == Verdict::UP
}

#[test]
fn an_inherited_instance_is_checked_in_a_new_context_of_the_child() {
    alone(
        module_path!(),
        "an_inherited_instance_is_checked_in_a_new_context_of_the_child",
        || {
            let (mut to, from) = pipe();
            let (sound, other) = (file(), file());
            let mut idle = Path::new(sound.as_raw_fd(), kernel_fd::monotonic);
            let mut running = Path::new(other.as_raw_fd(), kernel_fd::monotonic);
            let mut hung = Path::new(from.as_raw_fd(), kernel_fd::monotonic);
            assert!(is_up(&mut idle));
            running.check();
            hung.check();
            until_submitting(1);
            let (idle, running) = (Mutex::new(Some(idle)), Mutex::new(Some(running)));
            let take = |path: &Mutex<Option<Path>>| path.lock().unwrap().take().unwrap();
            assert!(in_child(|| {
                let (mut idle, mut running) = (take(&idle), take(&running));
                // The parent's read says nothing here; another one is started.
                let pending = running.pending();
                let right = [
                    pending.state == PathState::Pending || pending == Verdict::UP,
                    pending == Verdict::UP || running.verdict() == Verdict::UP,
                    (0..3).all(|_| is_up(&mut idle) && is_up(&mut running)),
                    // A new path does not join the parent's context either.
                    is_up(&mut Path::new(file().as_raw_fd(), kernel_fd::monotonic)),
                    contexts() == 2,
                ];
                idle.free();
                running.free();
                // The child's child.
                let grandchild =
                    in_child(|| is_up(&mut Path::new(file().as_raw_fd(), kernel_fd::monotonic)));
                println!("{right:?} {grandchild}");
                grandchild && right.iter().all(|right| *right)
            }));
            // Nothing has changed for the parent.
            let (mut idle, mut running) = (take(&idle), take(&running));
            assert_eq!(running.verdict(), Verdict::UP);
            assert!(is_up(&mut idle));
            to.write_all(&[0; 4096]).unwrap();
            assert_eq!(hung.verdict(), Verdict::UP);
            for path in [idle, running, hung] {
                path.free();
            }
        },
    );
}

#[test]
fn a_child_of_a_process_with_busy_threads_does_not_hang() {
    alone(
        module_path!(),
        "a_child_of_a_process_with_busy_threads_does_not_hang",
        || {
            let file = file();
            let stop = AtomicBool::new(false);
            let one_path = || is_up(&mut Path::new(file.as_raw_fd(), kernel_fd::monotonic));
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        while !stop.load(Relaxed) {
                            let mut path = Path::new(file.as_raw_fd(), kernel_fd::monotonic);
                            is_up(&mut path);
                            path.free();
                        }
                    });
                }
                let hung = (0..100).filter(|_| !in_child(one_path)).count();
                stop.store(true, Relaxed);
                assert_eq!(hung, 0);
            });
            Directio::reset();
        },
    );
}

#[test]
fn a_read_that_hangs_in_the_parent_is_started_again_in_the_child() {
    alone(
        module_path!(),
        "a_read_that_hangs_in_the_parent_is_started_again_in_the_child",
        || {
            let (mut to, from) = pipe();
            let mut hung = Path::new(from.as_raw_fd(), kernel_fd::monotonic);
            hung.check();
            until_submitting(1);
            assert!(hung.checker.need_wait());
            let hung = Mutex::new(Some(hung));
            let take = || hung.lock().unwrap().take().unwrap();
            assert!(in_child(|| {
                let mut hung = take();
                // Nothing of this process is in flight.
                let waits = hung.checker.need_wait();
                let pending = hung.pending().state == PathState::Pending;
                // The parent reads one of them, and this process the other.
                to.write_all(&[0; 4096]).unwrap();
                to.write_all(&[0; 4096]).unwrap();
                let up = hung.verdict() == Verdict::UP;
                hung.free();
                println!("{waits} {pending} {up}");
                !waits && pending && up
            }));
            let mut hung = take();
            assert_eq!(hung.verdict(), Verdict::UP);
            hung.free();
        },
    );
}

#[test]
fn a_child_reads_as_much_as_its_parent() {
    alone(
        module_path!(),
        "a_child_reads_as_much_as_its_parent",
        || {
            let file = file();
            let path = Mutex::new(Some(Path::new(file.as_raw_fd(), kernel_fd::monotonic)));
            // Less than a block can be read from now on.
            file.set_len(0).unwrap();
            assert!(in_child(|| {
                let mut path = path.lock().unwrap().take().unwrap();
                path.check();
                path.verdict() == Verdict::DOWN
            }));
            path.lock().unwrap().take().unwrap().free();
        },
    );
}

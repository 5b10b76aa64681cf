// SPDX-License-Identifier: LGPL-2.0-or-later

//! A child of a program whose threads are checking paths can check paths itself.

use crate::isolated::*;
use crate::path::*;
use crate::system::*;
use harness::abi::Abi;
use harness::state::State;
use std::ffi::c_int;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

/// How long a child may take, in seconds. Only one that hangs takes longer, on however busy a machine.
const ALARM: libc::c_uint = 20;

/// Of children that hang until their alarm.
const ENOUGH: usize = 3;

/// How a child ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Checked,
    Hung,
    Other(i32),
}

/// Runs `body` in a child process, which has [`ALARM`] seconds for it.
fn child(body: impl FnOnce() -> bool) -> End {
    // SAFETY: what the child calls is what this test is about; it never returns from here.
    unsafe {
        match libc::fork() {
            0 => {
                libc::alarm(ALARM);
                libc::_exit(i32::from(!body()))
            }
            pid => {
                let mut status = 0;
                assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
                match status {
                    0 => End::Checked,
                    _ if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGALRM => {
                        End::Hung
                    }
                    other => End::Other(other),
                }
            }
        }
    }
}

/// Checks until there is a verdict, and returns whether it is the expected one. In a child the alarm ends it:
/// [`within`] would panic there.
fn reaches(path: &mut Path, expected: State) -> bool {
    loop {
        match path.round() {
            State::PENDING | State::UNCHECKED => std::thread::sleep(Duration::from_micros(100)),
            state => return state == expected,
        }
    }
}

fn forks_while_others_check(system: System, name: &str, abi: Abi, children: usize) {
    // For tur, a device with these replies is up.
    system.set(Setting::Scsi, 2);
    let plugin = Loaded::assuming(name, abi);
    let file = file();
    let fd = file.as_raw_fd();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    Path::new(&plugin, abi, fd, 30).complete_use();
                }
            });
        }
        let mut inherited = Path::new(&plugin, abi, fd, 30);
        assert_eq!(inherited.init(), 0);
        let mut ends = Vec::new();
        for number in 0..children {
            std::thread::sleep(Duration::from_micros(300));
            // In flight while forking, now and then.
            if number % 2 == 0 {
                inherited.check();
            }
            ends.push(child(|| {
                let mut own = Path::new(&plugin, abi, fd, 30);
                let made = own.init() == 0 && reaches(&mut own, State::UP);
                own.free();
                let kept = reaches(&mut inherited, State::UP);
                inherited.free();
                plugin.reset();
                made && kept
            }));
            if ends.iter().filter(|end| **end != End::Checked).count() >= ENOUGH {
                break;
            }
        }
        assert!(reaches(&mut inherited, State::UP), "the parent goes on");
        inherited.free();
        stop.store(true, SeqCst);
        ends.retain(|end| *end != End::Checked);
        assert!(ends.is_empty(), "{name}, abi {}: {ends:?}", abi);
    });
}

#[test]
fn children_check_by_a_worker() {
    isolated(None, |system| {
        forks_while_others_check(system, "tur", Abi::V0_11, 300);
    });
}

#[test]
fn children_of_an_older_host_check_by_a_worker() {
    isolated(None, |system| {
        forks_while_others_check(system, "tur", Abi::V0_7_9, 300);
    });
}

#[test]
fn children_check_by_asynchronous_io() {
    isolated(None, |system| {
        // Each destroys a context, some 30 ms.
        forks_while_others_check(system, "directio", Abi::V0_11, 60);
    });
}

/// Counts fork handlers: those registered before the first that takes locks, and those that take locks.
const REGISTRAR: &str = "
    #define _GNU_SOURCE
    #include <dlfcn.h>
    typedef void handler(void);
    int before_locks, locks;
    int __register_atfork(handler *prepare, handler *parent, handler *child, void *object) {
        int (*next)(handler *, handler *, handler *, void *) = dlsym(RTLD_NEXT, \"__register_atfork\");
        if (prepare)
            locks++;
        else if (!locks)
            before_locks++;
        return next(prepare, parent, child, object);
    }";

/// glibc 2.28 to 2.35 registers no handler while those of a fork run. So none may be registered with a
/// lock held that such a handler waits for.
#[test]
fn forks_are_counted_before_they_take_locks() {
    let prepare = |command: &mut std::process::Command| {
        preload(command, &compile_c("libregistrar.so", REGISTRAR, &[]))
    };
    isolated_with(None, prepare, |_| {
        // SAFETY: the preloaded object has both, as ints that this thread alone changes.
        let noted = |name: &std::ffi::CStr| unsafe {
            let place = libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()).cast::<c_int>();
            assert!(!place.is_null());
            place.read()
        };
        let (counted, locks) = (noted(c"before_locks"), noted(c"locks"));
        let plugin = Loaded::assuming("tur", Abi::V0_11);
        assert_eq!((noted(c"before_locks"), noted(c"locks")), (counted, locks));
        let mut path = Path::new(&plugin, Abi::V0_11, 0, 30);
        assert_eq!(path.init(), 0);
        // The pool's and the checker's.
        assert_eq!(
            (noted(c"before_locks"), noted(c"locks")),
            (counted + 1, locks + 2)
        );
        path.free();
    });
    remove_c_objects();
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! A multipath-tools that is none of those that the plugins know: they all decline, for all paths
//! alike, write nothing into the structs, and report once what to do.

use crate::isolated::*;
use crate::path::*;
use harness::abi::Abi;
use harness::state::State;
use std::ffi::{CString, c_int};
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Barrier;

/// Libmultipaths of invented ABIs: the symbols that each has besides a log function, which takes other
/// parameters than any release's.
const INVENTED: [&str; 4] = [
    // Both the host-run threads of 0.15 and the plugins' own of 0.14.
    "int checker_is_sync(void *c) { return !c; } void checker_need_wait(void) {}
     void start_checker_thread(void) {} void get_runner(void) {}",
    // Neither.
    "int checker_is_sync(void *c) { return !c; } void checker_need_wait(void) {}",
    // The first probe is gone.
    "void checker_need_wait(void) {} void get_runner(void) {} void mt_udev_ref(void) {}",
    // Nothing has the names of today.
    "void path_checker_run(void) {}",
];

/// The log function: a call with the parameters of a release crashes.
const LOG: &str = "
    int libmp_verbosity = 4;
    void dlog(void (*sink)(int, const char *), int level, const char *line) { sink(level, line); }
";

const SCENE: &str = "CHECKERS_TEST_UNKNOWN";

/// Runs `body` once for each invented ABI, in a process that has loaded it.
fn under_unknown_hosts(body: fn()) {
    let inside = std::env::var(SCENE).ok();
    for (number, symbols) in INVENTED.into_iter().enumerate() {
        let number = number.to_string();
        if inside.as_ref().is_some_and(|scene| *scene != number) {
            continue;
        }
        let prepare = |command: &mut std::process::Command| {
            command.env(SCENE, &number);
        };
        isolated_with(None, prepare, |_| {
            let source = format!("{symbols}\n{LOG}");
            let soname = ["-Wl,-soname,libmultipath.so.0"];
            let object = compile_c("libmultipath.so.0", &source, &soname);
            let file = CString::new(object.as_os_str().as_bytes()).unwrap();
            // SAFETY: a NUL-terminated path of a library without constructors.
            let handle = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW) };
            assert!(!handle.is_null());
            body();
            remove_c_objects();
        });
    }
}

/// What `body` writes to the standard error stream.
fn standard_error_of(body: impl FnOnce()) -> Vec<String> {
    // SAFETY: the name is NUL-terminated; both descriptors are new and owned by nothing else.
    let (mut kept, before) = unsafe {
        let kept = libc::memfd_create(c"stderr".as_ptr(), libc::MFD_CLOEXEC);
        let before = libc::dup(2);
        assert!(kept >= 0 && before >= 0 && libc::dup2(kept, 2) == 2);
        (
            std::fs::File::from_raw_fd(kept),
            OwnedFd::from_raw_fd(before),
        )
    };
    body();
    // SAFETY: both descriptors are open.
    unsafe { libc::dup2(before.as_raw_fd(), 2) };
    let mut text = String::new();
    kept.rewind().unwrap();
    kept.read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// A path is declined, and its struct left as it was.
fn declined(plugin: &Loaded, abi: Abi) {
    let mut checker = Path::new(plugin, abi, 0, 30);
    assert_eq!(checker.init(), 1);
    assert_eq!(checker.check(), State::UNCHECKED);
    assert_eq!(checker.pending(), State::UNCHECKED);
    assert!(!checker.need_wait());
    if abi != Abi::V0_15 {
        assert_ne!(checker.mp_init(), Some(0));
        assert_eq!(checker.map_value(), None);
    }
    checker.free();
    assert_eq!((checker.message(), checker.has_instance()), (0, false));
}

fn names_the_remedy(lines: &[String]) {
    let [line] = lines else {
        panic!("not one line: {lines:#?}");
    };
    for word in [
        "0.7.9 to 0.15",
        "no path is checked",
        "dpkg -S",
        "rpm -qf",
        "restart multipathd",
    ] {
        assert!(line.contains(word), "{word:?} is missing: {line}");
    }
}

#[test]
fn every_path_is_declined_and_one_line_says_why() {
    under_unknown_hosts(|| {
        names_the_remedy(&standard_error_of(|| {
            for _ in 0..3 {
                for &name in ALL {
                    let plugin = Loaded::open(name);
                    for abi in ABIS {
                        declined(&plugin, abi);
                    }
                }
            }
        }));
    });
}

#[test]
fn one_line_also_when_all_plugins_are_asked_at_once() {
    under_unknown_hosts(|| {
        let plugins: Vec<_> = ALL.iter().map(|name| Loaded::open(name)).collect();
        let start = Barrier::new(plugins.len());
        names_the_remedy(&standard_error_of(|| {
            std::thread::scope(|scope| {
                for plugin in &plugins {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        declined(plugin, Abi::V0_11);
                    });
                }
            });
        }));
    });
}

/// A plugin that came later, when the first to be declined has been closed.
#[test]
fn one_line_also_when_plugins_come_and_go() {
    under_unknown_hosts(|| {
        names_the_remedy(&standard_error_of(|| {
            for &name in ALL {
                let plugin = Loaded::open(name);
                declined(&plugin, Abi::V0_11);
                plugin.unload();
            }
        }));
    });
}

/// A refused host stays refused, so that all its paths are treated alike whatever is loaded later.
#[test]
fn a_refusal_is_for_good() {
    under_unknown_hosts(|| {
        let plugin = Loaded::open("tur");
        declined(&plugin, Abi::V0_11);
        let late = "int checker_is_sync(void *c) { return !c; }";
        let object = compile_c("liblate.so", late, &[]);
        let file = CString::new(object.as_os_str().as_bytes()).unwrap();
        // SAFETY: a NUL-terminated path of a library without constructors.
        let handle = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        assert!(!handle.is_null());
        declined(&plugin, Abi::V0_7_9);
        for abi in ABIS {
            assert_eq!(plugin.assume(abi), -1);
        }
        declined(&plugin, Abi::V0_11);
    });
}

/// A daemon in the background has /dev/null as its standard error stream.
#[test]
fn without_standard_error_the_line_goes_to_syslog() {
    const SYSLOG: &str = "
        int syslogged, priority;
        void syslog(int p, const char *format, ...) { syslogged += format[0] == '%'; priority = p; }
    ";
    let prepare = |command: &mut std::process::Command| {
        preload(command, &compile_c("libsyslog.so", SYSLOG, &[]));
    };
    isolated_with(None, prepare, |_| {
        let number = |name: &std::ffi::CStr| {
            // SAFETY: the preloaded object has ints of these names.
            unsafe {
                let place = libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr());
                place.cast::<c_int>().as_ref().copied().unwrap()
            }
        };
        let null = std::fs::File::create("/dev/null").unwrap();
        // SAFETY: both descriptors are open.
        unsafe { libc::dup2(null.as_raw_fd(), 2) };
        for &name in ALL {
            declined(&Loaded::open(name), Abi::V0_11);
        }
        assert_eq!(number(c"syslogged"), 1);
        assert_eq!(number(c"priority"), libc::LOG_DAEMON | libc::LOG_ERR);
    });
    remove_c_objects();
}

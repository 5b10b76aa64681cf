// SPDX-License-Identifier: LGPL-2.0-or-later

//! The library form without memory or threads: every log line must come without an allocation, or the
//! shortage that it reports ends the process.

use crate::isolated::*;
use crate::path::*;
use crate::system::*;
use checkers_library_functions::{BuiltIn, CheckerContext, Library};
use harness::abi::Abi;
use std::ffi::{CStr, CString, c_void};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::ptr::{null, null_mut};

macro_rules! built_in {
    ($({ $name:ident $crate_name:ident $checker:ty $(, probe $probe:ty)? $(, scsi $scsi:ty)? })*) => {
        &[$(BuiltIn::new::<$checker>(checkers_ffi::fork_handlers!($checker))),*]
    };
}

static LIBRARY: Library = Library::new(
    checkers_ffi::Abi::V0_11,
    checkers::for_each_checker!(built_in),
);

/// A plugin that is not ours: its state has no name, and it has a thread.
const OTHER: &str = "
    int libcheck_init(void *c) { return !c; }
    int libcheck_check(void *c) { return c ? 42 : 0; }
    void libcheck_free(void *c) { (void)c; }
    void *libcheck_thread(void *context) { return context; }
";

/// One without an entry point that every plugin has.
const BROKEN: &str = "int libcheck_init(void *c) { return !c; }";

fn directory() -> CString {
    let object = compile_c("libcheckother.so", OTHER, &[]);
    compile_c("libcheckbroken.so", BROKEN, &[]);
    std::fs::write(object.with_file_name("libchecktext.so"), "not an object").unwrap();
    CString::new(object.parent().unwrap().as_os_str().as_bytes()).unwrap()
}

/// `struct checker` of 0.11.0: cls at 0, context at 32.
type Record = [u64; 6];

/// One path from its selection to its end, with threads that cannot be had.
fn complete_use(system: System, directory: &CStr, name: &CStr, fd: i32) {
    let mut record: Record = [0; 6];
    let checker: *mut c_void = record.as_mut_ptr().cast();
    // SAFETY: the struct is one of the library's ABI, and is used by this thread alone; the context
    // begins with the class of a path that holds it.
    unsafe {
        LIBRARY.clear(checker);
        LIBRARY.get(directory.as_ptr(), checker, name.as_ptr());
        LIBRARY.set_fd(checker, fd);
        LIBRARY.set_sync(checker, false);
        if LIBRARY.init(checker, null_mut()) == 0 {
            for _ in 0..2 {
                LIBRARY.check(checker, 0);
                LIBRARY.need_wait(checker);
                LIBRARY.state(checker);
            }
            let mut context: [*mut c_void; 1] = [checker.cast::<*mut c_void>().read()];
            let context = context.as_mut_ptr().cast::<CheckerContext>();
            let mut thread = 0;
            system.set(Setting::ThreadError, i64::from(libc::EAGAIN));
            LIBRARY.start_thread(&mut thread, null(), context);
            system.set(Setting::ThreadError, 0);
        }
        LIBRARY.start_thread(null_mut(), null(), null_mut());
        LIBRARY.put(checker);
        LIBRARY.put(checker);
    }
    LIBRARY.state_name(42);
    LIBRARY.reset();
    LIBRARY.cleanup();
}

#[test]
fn no_log_line_of_the_library_allocates() {
    isolated(Some(Abi::V0_11), |system| {
        let directory = directory();
        let file = file();
        for scsi in [2, 3, 0] {
            system.set(Setting::Scsi, scsi);
            for name in ["other", "broken", "text", "absent"].iter().chain(ALL) {
                let name = &CString::new(*name).unwrap();
                let mut n = 1;
                loop {
                    system.set(Setting::Allocations, 0);
                    system.set(Setting::FailFrom, n);
                    complete_use(system, &directory, name, file.as_raw_fd());
                    system.set(Setting::FailFrom, 0);
                    if system.get(Setting::Allocations) < n {
                        break;
                    }
                    n += 1;
                    assert!(n < 500, "{name:?} allocates without end");
                }
            }
        }
        let lines = system.lines();
        for wanted in [
            "1 failed to start checker thread for other: Resource temporarily unavailable (os error 11)",
            "1 failed to start checker thread for tur: Invalid argument (os error 22)",
            "1 failed to start checker thread: no class",
            "0 Checker 'absent' not found in",
            "0 A dynamic linking error occurred:",
            "2 invalid state index = 42",
            "3 unloading other checker",
            "0 out of memory, no checker class is loaded",
        ] {
            let found = lines.iter().any(|line| line.starts_with(wanted));
            assert!(found, "{wanted:?} was not reached");
        }
        remove_c_objects();
    });
}

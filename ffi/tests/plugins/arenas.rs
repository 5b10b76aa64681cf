// SPDX-License-Identifier: LGPL-2.0-or-later

//! Hung workers cost their stacks, and no malloc arenas: glibc gives one (132 KiB, locked in a daemon that
//! locks its memory) to each thread that allocates or frees.

use crate::isolated::*;
use crate::path::*;
use crate::system::*;
use harness::abi::Abi;
use harness::state::State;
use std::ffi::{CStr, c_char, c_int};
use std::os::fd::AsRawFd;
use std::ptr::null_mut;

unsafe extern "C" {
    fn malloc_info(options: c_int, stream: *mut libc::FILE) -> c_int;
    fn open_memstream(text: *mut *mut c_char, size: *mut usize) -> *mut libc::FILE;
}

/// How many arenas the process has.
fn arenas() -> usize {
    let mut text = null_mut();
    let mut size = 0;
    // SAFETY: the stream writes into memory of its own, whose address and size it leaves in the two
    // variables when it is closed; they outlive it.
    let description = unsafe {
        let stream = open_memstream(&raw mut text, &raw mut size);
        assert!(!stream.is_null());
        assert_eq!(malloc_info(0, stream), 0);
        libc::fclose(stream);
        CStr::from_ptr(text).to_str().unwrap().to_owned()
    };
    // SAFETY: the stream's memory is the caller's to free.
    unsafe { libc::free(text.cast()) };
    description.matches("<heap nr=").count()
}

#[test]
fn hung_workers_have_none() {
    isolated(None, |system| {
        let plugin = Loaded::assuming("tur", Abi::V0_11);
        let file = file();
        let before = arenas();
        let mut hung = Vec::new();
        // Bursts with a few hung paths among healthy ones.
        for burst in 1..=6 {
            system.set(Setting::Scsi, 1);
            for _ in 0..10 {
                let mut path = Path::new(&plugin, Abi::V0_11, file.as_raw_fd(), 30);
                assert_eq!(path.init(), 0);
                path.check();
                hung.push(path);
            }
            within(|| system.get(Setting::ScsiInside) == burst * 10);
        }
        // One for the thread that starts the workers.
        assert!(
            arenas() <= before + 1,
            "{before} arenas before, {} after",
            arenas()
        );
        system.set(Setting::Scsi, 2);
        for mut path in hung {
            assert_eq!(path.verdict(), State::UP);
            path.free();
        }
    });
}

/// How many AIO contexts the process has: each has a ring mapped.
fn contexts() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains("[aio]")).count()
}

#[test]
fn threads_that_destroy_contexts_have_none() {
    isolated(None, |_| {
        let plugin = Loaded::assuming("directio", Abi::V0_11);
        let file = file();
        let before = arenas();
        let paths: Vec<_> = (0..6 * 1024)
            .map(|_| {
                let mut path = Path::new(&plugin, Abi::V0_11, file.as_raw_fd(), 30);
                assert_eq!(path.init(), 0);
                path
            })
            .collect();
        assert_eq!(contexts(), 6);
        let all = threads();
        paths.into_iter().for_each(|mut path| path.free());
        plugin.reset();
        within(|| contexts() == 0 && threads() == all);
        assert_eq!(arenas(), before);
    });
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The system as the shim presents it: what it fails, hangs or invents is set by numbers in shared memory.

use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// The settings and counters of the shim; shim.rs has the same list.
#[derive(Clone, Copy)]
pub(crate) enum Setting {
    /// The number of allocations since one of the next two was set.
    Allocations = 0,
    /// The number of the one allocation that fails.
    FailAt = 1,
    /// The number of the first allocation that fails, with all later ones.
    FailFrom = 2,
    /// The error of pthread_create.
    ThreadError = 3,
    /// SCSI commands: 0 go to the kernel, 1 hang, 2 succeed, 3 get random replies.
    Scsi = 4,
    /// The number of threads inside the ioctl.
    ScsiInside = 5,
    /// The seed of the random replies.
    Seed = 6,
    /// AIO: 0 goes to the kernel, 1 requests disappear into the ring, 2 there is no quota.
    Aio = 7,
    /// The address of the ring.
    Ring = 8,
    /// `aio_data` of the last request.
    LastKey = 9,
    /// What `checker_is_sync` returns.
    Sync = 10,
    /// The number of lines that went to `dlog`.
    Lines = 11,
    /// The number of contexts that were destroyed.
    AioDestroyed = 12,
}

#[derive(Clone, Copy)]
pub(crate) struct System(extern "C" fn(usize) -> *const AtomicI64);

impl System {
    pub(crate) fn find() -> System {
        // SAFETY: the name is NUL-terminated; the preloaded shim has a function of this name and type.
        unsafe {
            let setting = libc::dlsym(libc::RTLD_DEFAULT, c"shim_setting".as_ptr());
            assert!(!setting.is_null(), "the shim is not there");
            System(std::mem::transmute::<
                *mut c_void,
                extern "C" fn(usize) -> *const AtomicI64,
            >(setting))
        }
    }

    fn number(&self, setting: Setting) -> &'static AtomicI64 {
        // SAFETY: the shim returns the address of a static.
        unsafe { &*(self.0)(setting as usize) }
    }

    pub(crate) fn set(&self, setting: Setting, value: i64) {
        self.number(setting).store(value, Ordering::SeqCst);
    }

    pub(crate) fn get(&self, setting: Setting) -> i64 {
        self.number(setting).load(Ordering::SeqCst)
    }

    /// The lines that went to `dlog`, each as `LEVEL TEXT`; for shims with a host.
    pub(crate) fn lines(&self) -> Vec<String> {
        // SAFETY: the name is NUL-terminated; a shim with a host has a function of this name and type,
        // whose text ends with NUL.
        let text = unsafe {
            let text = libc::dlsym(libc::RTLD_DEFAULT, c"shim_text".as_ptr());
            assert!(!text.is_null(), "the shim has no host");
            let text = std::mem::transmute::<*mut c_void, extern "C" fn() -> *const c_char>(text);
            CStr::from_ptr(text())
        };
        text.to_string_lossy().lines().map(str::to_owned).collect()
    }
}

/// Waits until `done` returns `true`, which another thread brings about.
pub(crate) fn within(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "it never happened"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The number of threads of this process.
pub(crate) fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// A file that can be opened with O_DIRECT.
pub(crate) fn file() -> std::fs::File {
    let name = format!("checkers-ffi-test-{}", std::process::id());
    let path = crate::isolated::built().join(name);
    std::fs::write(&path, [0; 8192]).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file
}

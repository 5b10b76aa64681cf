// SPDX-License-Identifier: LGPL-2.0-or-later

//! A preloaded object that replaces functions of the C library: it makes them fail, hang or return invented
//! replies, by settings in shared memory.
//!
//! Compiled by `isolated`, not by cargo. With `--cfg host="0.7.9"` (or 0.11, 0.15) it also exports the
//! symbols of a libmultipath of that ABI.

#![no_std]
#![allow(non_upper_case_globals)]

use core::arch::asm;
use core::ffi::{c_char, c_int, c_long, c_ulong, c_void};
use core::sync::atomic::{AtomicI64, Ordering::SeqCst};
#[cfg(host)]
use core::sync::atomic::{AtomicU8, AtomicUsize};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe { abort() }
}

/// The precompiled core refers to it; nothing unwinds here.
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}

unsafe extern "C" {
    fn abort() -> !;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn usleep(micros: u32) -> c_int;
    fn __errno_location() -> *mut c_int;
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(old: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_memalign(alignment: usize, size: usize) -> *mut c_void;
}

const RTLD_NEXT: *mut c_void = -1_isize as *mut c_void;
const ENOMEM: c_int = 12;
const EAGAIN: c_int = 11;

// The settings, by number; `system` has the same list.
static SETTINGS: [AtomicI64; 13] = [const { AtomicI64::new(0) }; 13];
const ALLOCATIONS: usize = 0;
const FAIL_AT: usize = 1;
const FAIL_FROM: usize = 2;
const THREAD_ERROR: usize = 3;
const SCSI: usize = 4;
const SCSI_INSIDE: usize = 5;
const SEED: usize = 6;
const AIO: usize = 7;
const RING: usize = 8;
const LAST_KEY: usize = 9;
#[cfg(host)]
const SYNC: usize = 10;
#[cfg(host)]
const LINES: usize = 11;
const AIO_DESTROYED: usize = 12;

#[unsafe(no_mangle)]
pub extern "C" fn shim_setting(number: usize) -> *const AtomicI64 {
    &SETTINGS[number]
}

fn setting(number: usize) -> i64 {
    SETTINGS[number].load(SeqCst)
}

fn fail(errno: c_int) -> c_int {
    unsafe { *__errno_location() = errno };
    -1
}

/// Whether this allocation is one that has to fail.
fn refused() -> bool {
    let (at, from) = (setting(FAIL_AT), setting(FAIL_FROM));
    // The main thread (gettid is getpid) belongs to the test program, not to the host.
    if (at == 0 && from == 0) || raw(186, [0; 6]) == raw(39, [0; 6]) {
        return false;
    }
    let number = SETTINGS[ALLOCATIONS].fetch_add(1, SeqCst) + 1;
    if number == at || (from != 0 && number >= from) {
        fail(ENOMEM);
        return true;
    }
    false
}

#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: usize) -> *mut c_void {
    if refused() { core::ptr::null_mut() } else { unsafe { __libc_malloc(size) } }
}

#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    if refused() { core::ptr::null_mut() } else { unsafe { __libc_calloc(count, size) } }
}

#[unsafe(no_mangle)]
pub extern "C" fn realloc(old: *mut c_void, size: usize) -> *mut c_void {
    if refused() { core::ptr::null_mut() } else { unsafe { __libc_realloc(old, size) } }
}

#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void {
    if refused() { core::ptr::null_mut() } else { unsafe { __libc_memalign(alignment, size) } }
}

#[unsafe(no_mangle)]
pub extern "C" fn posix_memalign(place: *mut *mut c_void, alignment: usize, size: usize) -> c_int {
    if refused() {
        return ENOMEM;
    }
    let memory = unsafe { __libc_memalign(alignment, size) };
    unsafe { *place = memory };
    if memory.is_null() { ENOMEM } else { 0 }
}

#[unsafe(no_mangle)]
pub extern "C" fn mmap(
    place: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> *mut c_void {
    if refused() {
        return -1_isize as *mut c_void;
    }
    let (a, b) = (place as usize, protection as usize);
    returned(raw(9, [a, length, b, flags as usize, fd as usize, offset as usize])) as *mut c_void
}

#[unsafe(no_mangle)]
pub extern "C" fn pthread_create(
    thread: *mut c_void,
    attributes: *const c_void,
    body: *mut c_void,
    argument: *mut c_void,
) -> c_int {
    type Create = extern "C" fn(*mut c_void, *const c_void, *mut c_void, *mut c_void) -> c_int;
    match setting(THREAD_ERROR) {
        0 => {
            let next = unsafe { dlsym(RTLD_NEXT, c"pthread_create".as_ptr()) };
            let next = unsafe { core::mem::transmute::<*mut c_void, Create>(next) };
            next(thread, attributes, body, argument)
        }
        errno => errno as c_int,
    }
}

/// A pseudo-random number from a place in the sequence.
fn random(step: u64) -> u64 {
    let mut value = (setting(SEED) as u64).wrapping_add(step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

const SG_IO: c_ulong = 0x2285;

/// The number of commands so far.
static SENT: AtomicI64 = AtomicI64::new(0);

#[unsafe(no_mangle)]
pub extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: *mut u8) -> c_int {
    let mode = setting(SCSI);
    if mode == 0 || (request != SG_IO && request & 0xff00 != 0x4200) {
        return returned(raw(16, [fd as usize, request as usize, argument as usize, 0, 0, 0]))
            as c_int;
    }
    let command = SENT.fetch_add(1, SeqCst) + 1;
    // 1: hangs until the setting changes; 2: good; 3: anything a kernel could write, and more.
    SETTINGS[SCSI_INSIDE].fetch_add(1, SeqCst);
    while setting(SCSI) == 1 {
        unsafe { usleep(2000) };
    }
    SETTINGS[SCSI_INSIDE].fetch_sub(1, SeqCst);
    if mode != 3 || request != SG_IO {
        return 0;
    }
    let step = command as u64 * 1000;
    match random(step) % 8 {
        0 => return fail((random(step + 1) % 200) as c_int),
        1 => return fail(25),
        _ => {}
    }
    let word = |offset: usize| unsafe { argument.add(offset).cast::<usize>().read() };
    let length = unsafe { argument.add(12).cast::<u32>().read() } as usize;
    let direction = unsafe { argument.add(4).cast::<i32>().read() };
    let (data, sense) = (word(16) as *mut u8, word(32) as *mut u8);
    for at in 0..32 {
        unsafe { sense.add(at).write(random(step + 10 + at as u64) as u8) };
    }
    if direction == -3 {
        for at in 0..length {
            unsafe { data.add(at).write(random(step + 100 + at as u64) as u8) };
        }
    }
    // From `status` to the end of the header; sb_len_wr often says more than there is room for.
    for at in 64..88 {
        unsafe { argument.add(at).write(random(step + 50 + at as u64) as u8) };
    }
    if random(step + 2) % 2 == 0 {
        unsafe { argument.add(67).write(255) };
    }
    0
}

fn raw(number: c_long, a: [usize; 6]) -> isize {
    let result;
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a[0], in("rsi") a[1],
             in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5],
             lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

fn returned(result: isize) -> c_long {
    if (-4095..0).contains(&result) { fail(-result as c_int) as c_long } else { result as c_long }
}

/// The C library's function is variadic, which on x86_64 is called in the same way.
#[unsafe(no_mangle)]
pub extern "C" fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    let pass = || returned(raw(number, [a, b, c, d, e, f]));
    // 1: a ring of the test's own, requests are taken and never answered; 2: no quota.
    match (number, setting(AIO)) {
        (206, 1) => {
            unsafe { (b as *mut usize).write(setting(RING) as usize) };
            0
        }
        (206, 2) => fail(EAGAIN) as c_long,
        (207, 1) => {
            SETTINGS[AIO_DESTROYED].fetch_add(1, SeqCst);
            0
        }
        (208, 1) => 0,
        (209, 1) => {
            let request = unsafe { (c as *const *const i64).read() };
            SETTINGS[LAST_KEY].store(unsafe { request.read() }, SeqCst);
            1
        }
        _ => pass(),
    }
}

#[cfg(host)]
mod host {
    use super::*;

    #[unsafe(no_mangle)]
    pub static libmp_verbosity: AtomicI64 = AtomicI64::new(4);

    #[unsafe(no_mangle)]
    pub extern "C" fn checker_is_sync(_: *const c_void) -> c_int {
        setting(SYNC) as c_int
    }

    /// All lines, each after its level; NUL where none has been written yet.
    static TEXT: [AtomicU8; 1 << 16] = [const { AtomicU8::new(0) }; 1 << 16];
    static WRITTEN: AtomicUsize = AtomicUsize::new(0);

    #[unsafe(no_mangle)]
    pub extern "C" fn shim_text() -> *const c_char {
        TEXT.as_ptr().cast()
    }

    /// Appends what fits; the last byte stays NUL.
    fn keep(byte: u8) {
        let at = WRITTEN.fetch_add(1, SeqCst);
        if let Some(place) = TEXT[..TEXT.len() - 1].get(at) {
            place.store(byte, SeqCst);
        }
    }

    /// Variadic in C; see `syscall`.
    #[unsafe(no_mangle)]
    pub extern "C" fn dlog(level: c_int, _format: *const c_char, text: *const c_char) {
        SETTINGS[LINES].fetch_add(1, SeqCst);
        keep(b'0' + level as u8);
        keep(b' ');
        for &byte in unsafe { core::ffi::CStr::from_ptr(text) }.to_bytes() {
            keep(byte);
        }
        // A cancellation point, as in the real one.
        unsafe { usleep(1) };
    }

    #[cfg(not(host = "0.7.9"))]
    #[unsafe(no_mangle)]
    pub extern "C" fn checker_need_wait() {}

    #[cfg(not(host = "0.15"))]
    #[unsafe(no_mangle)]
    pub extern "C" fn start_checker_thread() {}

    #[cfg(host = "0.15")]
    #[unsafe(no_mangle)]
    pub extern "C" fn get_runner() {}
}

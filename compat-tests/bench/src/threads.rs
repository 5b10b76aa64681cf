//! Counting the threads that a plugin starts, and what they cost by themselves.

use std::ffi::{CStr, c_int, c_void};
use std::os::linux::fs::MetadataExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// `pthread_t`, a word in glibc and musl.
pub type Thread = libc::pthread_t;

/// What a thread runs.
pub type Start = extern "C" fn(*mut c_void) -> *mut c_void;

type Create = unsafe extern "C" fn(*mut Thread, *const c_void, Start, *mut c_void) -> c_int;

/// Threads started, by whomever.
static CREATED: AtomicU64 = AtomicU64::new(0);

/// `libcheck_thread` of the plugin, which `start_checker_thread` runs.
static CHECKER_THREAD: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// How many threads have been started since the process began.
pub fn created() -> u64 {
    CREATED.load(Ordering::Relaxed)
}

/// How many threads there are now.
pub fn alive() -> u64 {
    // The links of the directory are `.`, `..` and one per thread. To read them costs one system
    // call and no memory, unlike a listing.
    Path::new("/proc/self/task")
        .metadata()
        .map_or(0, |directory| directory.st_nlink().saturating_sub(2))
}

/// Starts so many threads with the stacks that tur gives its own, and says how long it took until the last
/// one ran: no checker can give hung devices a thread each in less.
///
/// # Errors
/// When there is no thread to be had.
pub fn start_many(count: usize) -> std::io::Result<Duration> {
    const STACK_SIZE: usize = 32 * 1024;
    let running = Arc::new(AtomicUsize::new(0));
    let begin = Instant::now();
    let threads: std::io::Result<Vec<_>> = (0..count)
        .map(|_| {
            let running = Arc::clone(&running);
            std::thread::Builder::new()
                .stack_size(STACK_SIZE)
                .spawn(move || {
                    running.fetch_add(1, Ordering::Relaxed);
                    std::thread::park();
                })
        })
        .collect();
    let threads = threads?;
    while running.load(Ordering::Relaxed) < count {
        std::thread::yield_now();
    }
    let wall = begin.elapsed();
    for thread in threads {
        thread.thread().unpark();
        // Nothing in it can panic.
        let _ = thread.join();
    }
    Ok(wall)
}

/// Remembers the plugin's `libcheck_thread`, if it has one.
///
/// # Safety
/// `handle` must have come from `dlopen`.
pub unsafe fn use_plugin(handle: *mut c_void) {
    // SAFETY: the caller vouches for the handle, and the name ends with NUL.
    let thread = unsafe { libc::dlsym(handle, c"libcheck_thread".as_ptr()) };
    CHECKER_THREAD.store(thread, Ordering::Release);
}

/// The C library's `pthread_create`, counted.
///
/// # Safety
/// As for `pthread_create`.
pub unsafe fn create(
    thread: *mut Thread,
    attributes: *const c_void,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    static REAL: OnceLock<Create> = OnceLock::new();
    let real = REAL.get_or_init(|| {
        // SAFETY: POSIX gives the function this type.
        unsafe { next(c"pthread_create") }
    });
    CREATED.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the caller's word.
    unsafe { real(thread, attributes, start, argument) }
}

/// Starts the plugin's `libcheck_thread` on a new thread. The original also takes a reference to the
/// checker's class and registers the thread with liburcu; that is not needed here, and makes a C
/// checker look a little cheaper than it is.
///
/// # Safety
/// As for libmultipath's function of the same name.
pub unsafe fn start_checker_thread(
    thread: *mut Thread,
    attributes: *const c_void,
    context: *mut c_void,
) -> c_int {
    let start = CHECKER_THREAD.load(Ordering::Acquire);
    if start.is_null() {
        return libc::EINVAL;
    }
    // SAFETY: libcheck_thread takes the context and returns a pointer.
    let start = unsafe { std::mem::transmute::<*mut c_void, Start>(start) };
    // SAFETY: the caller's word.
    unsafe { create(thread, attributes, start, context) }
}

/// The definition of `name` that would be used if this executable had none.
///
/// # Safety
/// `F` must be the type of a function pointer that fits.
pub unsafe fn next<F: Copy>(name: &CStr) -> F {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: the name ends with NUL.
    let address = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    assert!(!address.is_null(), "the C library has no {name:?}");
    // SAFETY: the sizes agree, and the caller vouches for the type.
    unsafe { std::mem::transmute_copy(&address) }
}

//! How a worker thread is started inside a daemon.
//!
//! Not by `std::thread`, whose allocations end the process when they fail.

use checkers_core::pool::STACK_SIZE;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{io, ptr};

/// Runs `body` on a detached thread of [`STACK_SIZE`] bytes with all signals blocked: a signal meant
/// for the host must not end up on a thread that hangs.
pub(crate) fn spawn(body: fn()) -> io::Result<()> {
    let mut attributes = Attributes::new()?;
    let _blocked = SignalsBlocked::new();
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: `thread` and `attributes` are valid for the call, and `run` gets what it expects.
    check(unsafe {
        libc::pthread_create(
            thread.as_mut_ptr(),
            attributes.0.as_mut_ptr(),
            run,
            body as *mut c_void,
        )
    })
}

/// How many processors the calling thread may use; one when the kernel will not say. (std's
/// `available_parallelism` reads files about control groups, for which it allocates.)
pub(crate) fn processors() -> c_int {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: the pointer is to a set of the size given, for which all zeroes is a valid value.
    unsafe {
        match libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) {
            0 => libc::CPU_COUNT(set.assume_init_ref()),
            _ => 1,
        }
    }
}

extern "C" fn run(body: *mut c_void) -> *mut c_void {
    // SAFETY: `spawn` passes a `fn()`, and function pointers fit into data pointers on every system
    // that has dlsym.
    let body = unsafe { std::mem::transmute::<*mut c_void, fn()>(body) };
    // A panic ends here and with it the thread; there is nobody to tell.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
        std::mem::forget(payload);
    }
    ptr::null_mut()
}

fn check(code: c_int) -> io::Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(code))
    }
}

struct Attributes(MaybeUninit<libc::pthread_attr_t>);

impl Attributes {
    fn new() -> io::Result<Attributes> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the pointer is to memory of the right size and type.
        check(unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) })?;
        let mut attributes = Attributes(attributes);
        let size = STACK_SIZE.max(libc::PTHREAD_STACK_MIN);
        // SAFETY: pthread_attr_init has initialised the attributes.
        check(unsafe { libc::pthread_attr_setstacksize(attributes.0.as_mut_ptr(), size) })?;
        // SAFETY: likewise.
        check(unsafe {
            libc::pthread_attr_setdetachstate(
                attributes.0.as_mut_ptr(),
                libc::PTHREAD_CREATE_DETACHED,
            )
        })?;
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: `new` only makes values that pthread_attr_init has initialised.
        unsafe { libc::pthread_attr_destroy(self.0.as_mut_ptr()) };
    }
}

/// All signals are blocked for the calling thread, and for threads that it starts, while this lives.
struct SignalsBlocked(Option<libc::sigset_t>);

impl SignalsBlocked {
    fn new() -> SignalsBlocked {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigfillset initialises the set it is given.
        let all = unsafe {
            libc::sigfillset(all.as_mut_ptr());
            all.assume_init()
        };
        // SAFETY: both pointers are valid; on success `before` has been filled in.
        match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &all, before.as_mut_ptr()) } {
            // SAFETY: the call succeeded.
            0 => SignalsBlocked(Some(unsafe { before.assume_init() })),
            _ => SignalsBlocked(None),
        }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // SAFETY: `before` is the mask that pthread_sigmask returned.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, ptr::null_mut()) };
        }
    }
}

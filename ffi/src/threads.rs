//! How a worker thread is started inside a daemon.
//!
//! Not by `std::thread`, whose allocations end the process when they fail.
//!
//! The C library puts the process's static thread-local storage on the stack of each thread. How much
//! that is depends on what else is loaded (an allocator that is preloaded may bring 20 KiB), so it is
//! asked for and added.

use checkers_core::pool::STACK_SIZE;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{io, ptr};

/// This much of [`STACK_SIZE`] is meant for the C library's thread block and the storage of an ordinary
/// process, in bytes (4224 with glibc 2.36).
const ORDINARY_STORAGE: usize = 4608;

const PAGE: usize = 4096;

/// A stack was refused, and a thread of the default size was started. The thread that notices may not
/// be one that can log.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Runs `body` on a detached thread with all signals blocked: a signal meant for the host must not end
/// up on a thread that hangs. Its stack is [`STACK_SIZE`] bytes, and more where thread-local storage
/// takes much of that, or of the default size where the C library refuses so small a one.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn spawn(body: fn()) -> io::Result<()> {
    let _blocked = SignalsBlocked::new();
    let mut attributes = Attributes::new()?;
    attributes.set_stack_size(stack_size())?;
    let started = start(&mut attributes, body);
    if !started
        .as_ref()
        .is_err_and(|error| error.raw_os_error() == Some(libc::EINVAL))
    {
        return started;
    }
    start(&mut Attributes::new()?, body)?;
    REFUSED.store(true, Ordering::Relaxed);
    Ok(())
}

/// Reports to the host's log, once, that threads have larger stacks than they were to have. For a thread
/// that may log; costs one load when there is nothing to report.
pub(crate) fn report() {
    static REPORTED: AtomicBool = AtomicBool::new(false);
    if REFUSED.load(Ordering::Relaxed) && !REPORTED.swap(true, Ordering::Relaxed) {
        log::warn!(
            "path checker plugin: no thread with a stack of {} KiB can be had (is there much static \
             thread-local storage in this process?); workers have stacks of the default size",
            stack_size() / 1024
        );
    }
}

/// Finds out what is found out once, on a thread of the host: what fails here leaves a complaint, for
/// which the C library allocates.
pub(crate) fn prepare() {
    thread_local_storage();
}

fn start(attributes: &mut Attributes, body: fn()) -> io::Result<()> {
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

/// The size of a worker's stack: [`STACK_SIZE`], of which [`ORDINARY_STORAGE`] may be taken away, plus
/// what is taken beyond that. In whole pages.
fn stack_size() -> usize {
    let beyond = thread_local_storage().saturating_sub(ORDINARY_STORAGE);
    STACK_SIZE
        .max(libc::PTHREAD_STACK_MIN)
        .saturating_add(beyond)
        .div_ceil(PAGE)
        .saturating_mul(PAGE)
}

/// How much of a stack the C library takes for itself; 0 where it does not say. It does not change
/// while the process lives.
fn thread_local_storage() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    *SIZE.get_or_init(|| {
        type Minimum = unsafe extern "C" fn(*const libc::pthread_attr_t) -> usize;
        // SAFETY: the name is NUL-terminated and RTLD_DEFAULT a valid pseudo-handle.
        let function =
            unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__pthread_get_minstack".as_ptr()) };
        if function.is_null() {
            return 0;
        }
        let Ok(attributes) = Attributes::new() else {
            return 0;
        };
        // SAFETY: glibc has had the function with this type since 2.15; the standard library and
        // OpenJDK call it too. The attributes are initialised.
        let minimum =
            unsafe { std::mem::transmute::<*mut c_void, Minimum>(function)(attributes.0.as_ptr()) };
        // A page, that storage, and the smallest stack that POSIX allows.
        minimum.saturating_sub(PAGE + libc::PTHREAD_STACK_MIN)
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
    /// For a detached thread with a stack of the default size and a guard page.
    fn new() -> io::Result<Attributes> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the pointer is to memory of the right size and type.
        check(unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) })?;
        let mut attributes = Attributes(attributes);
        // SAFETY: pthread_attr_init has initialised the attributes.
        check(unsafe {
            libc::pthread_attr_setdetachstate(
                attributes.0.as_mut_ptr(),
                libc::PTHREAD_CREATE_DETACHED,
            )
        })?;
        // SAFETY: likewise. An overflow ends the process there, instead of writing into a neighbour.
        check(unsafe { libc::pthread_attr_setguardsize(attributes.0.as_mut_ptr(), PAGE) })?;
        Ok(attributes)
    }

    fn set_stack_size(&mut self, size: usize) -> io::Result<()> {
        // SAFETY: `new` only makes values that pthread_attr_init has initialised.
        check(unsafe { libc::pthread_attr_setstacksize(self.0.as_mut_ptr(), size) })
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

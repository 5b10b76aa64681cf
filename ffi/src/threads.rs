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
    let started = start(&attributes, body);
    if !started
        .as_ref()
        .is_err_and(|error| error.raw_os_error() == Some(libc::EINVAL))
    {
        return started;
    }
    start(&Attributes::new()?, body)?;
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

/// Looks the C library's function up on a thread of the host: a failing lookup leaves an error message,
/// for which the C library allocates.
pub(crate) fn prepare() {
    thread_local_storage();
}

fn start(attributes: &Attributes, body: fn()) -> io::Result<()> {
    if !locked_memory_suffices(attributes.stack_size()) {
        return check(libc::EAGAIN);
    }
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: `thread` and `attributes` are valid for the call, and `run` gets what it expects.
    check(unsafe {
        libc::pthread_create(
            thread.as_mut_ptr(),
            attributes.0.as_ptr(),
            run,
            body as *mut c_void,
        )
    })
}

/// What a thread's start allocates beside the stack, at most, in bytes: a table of 16 bytes for each
/// loaded object with thread-local storage. Too large for malloc's caches, whose memory calloc (which
/// glibc uses) does not take.
const TABLE: usize = 2048;

/// Whether a limit on locked memory leaves room for a thread, which is locked when the daemon has locked
/// itself. glibc (seen with 2.36) ends the process when there is room for the stack and not for the
/// table: it expects ENOMEM, and such a limit says EAGAIN. So both are taken for a moment, together, and
/// given back; no page is touched. Another thread may take the room meanwhile, which is all that is left
/// of that risk.
fn locked_memory_suffices(stack: usize) -> bool {
    if !locked_memory_is_limited() {
        return true;
    }
    let size = stack.saturating_add(PAGE);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
    // SAFETY: both are new memory, which nothing uses, and each is given back if it was had.
    unsafe {
        let table = libc::malloc(TABLE);
        let memory = libc::mmap(ptr::null_mut(), size, libc::PROT_NONE, flags, -1, 0);
        let both = !table.is_null() && memory != libc::MAP_FAILED;
        if memory != libc::MAP_FAILED {
            libc::munmap(memory, size);
        }
        libc::free(table);
        both
    }
}

/// Whether this thread has a limit on locked memory; a daemon that runs as root usually has none.
fn locked_memory_is_limited() -> bool {
    /// `_LINUX_CAPABILITY_VERSION_3`.
    const VERSION: u32 = 0x2008_0522;
    /// Makes the limit none.
    const CAP_IPC_LOCK: u32 = 14;
    let mut limit = MaybeUninit::<libc::rlimit>::zeroed();
    // SAFETY: the pointer is to a struct of ours, for which zeroes are a valid value.
    let limit = unsafe {
        libc::getrlimit(libc::RLIMIT_MEMLOCK, limit.as_mut_ptr());
        limit.assume_init()
    };
    // 0 is the calling thread.
    let mut header = [VERSION, 0];
    // Two times effective, permitted, inheritable, as the version says.
    let mut capabilities = [0_u32; 6];
    // SAFETY: both are memory of ours, as large as goes with the version.
    unsafe {
        libc::syscall(
            libc::SYS_capget,
            header.as_mut_ptr(),
            capabilities.as_mut_ptr(),
        )
    };
    let [effective, ..] = capabilities;
    limit.rlim_cur != libc::RLIM_INFINITY && effective >> CAP_IPC_LOCK & 1 == 0
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
    // A panic ends here and with it the thread. The panic hook has reported it.
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

    fn stack_size(&self) -> usize {
        let mut size = 0;
        // SAFETY: `new` only makes values that pthread_attr_init has initialised.
        unsafe { libc::pthread_attr_getstacksize(self.0.as_ptr(), &mut size) };
        size
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    /// glibc ends the process when the stack of a thread fits into the limit and what it allocates
    /// besides does not, for it expects another error then.
    #[test]
    #[ignore = "needs root, to lock memory and to give that right up"]
    fn a_limit_on_locked_memory_leaves_the_process_alive() {
        const NAME: &str = "threads::tests::a_limit_on_locked_memory_leaves_the_process_alive";
        const INSIDE: &str = "CHECKERS_TEST_LOCKED";
        let Ok(room) = std::env::var(INSIDE) else {
            let mut refused = 0;
            for room in (0..160).step_by(4) {
                let output = Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", NAME, "--nocapture", "--ignored"])
                    .env(INSIDE, room.to_string())
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&output.stdout)
                    + String::from_utf8_lossy(&output.stderr);
                let status = output.status;
                assert!(status.success(), "{room} KiB: {status}: {said}");
                refused += usize::from(said.contains("refused"));
            }
            assert!(refused > 5, "the limit was never reached");
            return;
        };
        ROOM.store(room.parse().unwrap(), Ordering::SeqCst);
        // A thread that has never asked for memory, as the one that starts workers.
        spawn(start_some).unwrap();
        std::thread::sleep(Duration::from_secs(60));
    }

    static ROOM: AtomicU64 = AtomicU64::new(0);

    /// Leaves this thread room for so many KiB of locked memory, and starts threads until it is full.
    fn start_some() {
        let room = ROOM.load(Ordering::SeqCst) * 1024;
        let limit = libc::rlimit {
            rlim_cur: room,
            rlim_max: room,
        };
        // CAP_IPC_LOCK, 14, makes the limit none.
        let header = [0x2008_0522_u32, 0];
        let mut sets = [0_u32; 6];
        // SAFETY: all of this concerns the test's own process; the capability sets are of the size
        // that their version says.
        unsafe {
            assert_eq!(libc::mlockall(libc::MCL_FUTURE), 0);
            assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit), 0);
            libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr());
            sets[0] &= !(1 << 14);
            sets[1] &= !(1 << 14);
            libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr());
        }
        for _ in 0..4 {
            if spawn(|| std::thread::sleep(Duration::from_secs(60))).is_err() {
                // SAFETY: the length is that of the text. (println would allocate.)
                unsafe { libc::write(1, c"refused\n".as_ptr().cast(), 8) };
            }
        }
        // SAFETY: nothing is left to be done.
        unsafe { libc::_exit(0) };
    }
}

//! Functions that plugins call instead of the C library's: they fail as told, and else pass the call
//! on.
//!
//! Calls of the host itself never fail, and are not counted: a thread of the host counts only while
//! it is [`inside`] the plugin, threads that the plugin starts always do.

use crate::devices;
use bench::threads::{Start, Thread};
use harness::host::class;
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_long, c_void};
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64};

/// What can be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// malloc, calloc, realloc, posix_memalign, mmap: `ENOMEM`.
    Memory,
    /// pthread_create: `EAGAIN`.
    Threads,
    /// dup, fcntl(F_DUPFD…), open: `EMFILE`.
    Descriptors,
    /// io_setup: `EAGAIN`.
    Contexts,
    /// io_submit: `EAGAIN`.
    Requests,
}

impl Resource {
    /// Each of them.
    pub const ALL: [Resource; 5] = [
        Resource::Memory,
        Resource::Threads,
        Resource::Descriptors,
        Resource::Contexts,
        Resource::Requests,
    ];

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Which resources are refused; 0 for none, and then nothing is counted.
static REFUSED: AtomicU32 = AtomicU32::new(0);
/// The number of the first request that is refused, and whether all later ones are.
static AT: AtomicU64 = AtomicU64::new(0);
static AND_LATER: AtomicBool = AtomicBool::new(false);
/// Requests for those resources.
static SEEN: AtomicU64 = AtomicU64::new(0);
/// Bytes on the heap.
static HEAP: AtomicI64 = AtomicI64::new(0);
/// Threads inside io_submit.
static SUBMITTING: AtomicU64 = AtomicU64::new(0);
static SYNC: AtomicBool = AtomicBool::new(false);
static LINES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Whether what this thread asks for is the host's own doing.
    static HOST: Cell<bool> = const { Cell::new(false) };
}

/// From now on the calling thread is one of the host's.
pub fn this_is_the_host() {
    HOST.set(true);
}

/// Calls the plugin.
pub fn inside<T>(call: impl FnOnce() -> T) -> T {
    let before = HOST.replace(false);
    let answer = call();
    HOST.set(before);
    answer
}

/// From now on request number `at` for any of the resources is refused, and those after it if
/// `and_later`.
pub fn refuse(resources: &[Resource], at: u64, and_later: bool) {
    SEEN.store(0, SeqCst);
    AT.store(at, SeqCst);
    AND_LATER.store(and_later, SeqCst);
    let bits = resources.iter().fold(0, |bits, one| bits | one.bit());
    REFUSED.store(bits, SeqCst);
}

/// Nothing is refused any more.
pub fn relent() {
    REFUSED.store(0, SeqCst);
}

/// How many requests there have been since [`refuse`].
pub fn requests() -> u64 {
    SEEN.load(SeqCst)
}

/// How many bytes the heap holds.
pub fn heap() -> i64 {
    HEAP.load(SeqCst)
}

/// How many threads are inside io_submit.
pub fn submitting() -> u64 {
    SUBMITTING.load(SeqCst)
}

/// What `checker_is_sync` answers.
pub fn set_sync(sync: bool) {
    SYNC.store(sync, SeqCst);
}

/// How many lines were logged.
pub fn lines() -> u64 {
    LINES.load(SeqCst)
}

fn refused(resource: Resource) -> bool {
    if REFUSED.load(Relaxed) & resource.bit() == 0 || HOST.get() {
        return false;
    }
    let number = SEEN.fetch_add(1, SeqCst) + 1;
    let at = AT.load(SeqCst);
    number == at || number > at && AND_LATER.load(SeqCst)
}

/// Fails as a system call does.
pub(super) fn fail(errno: c_int) -> c_int {
    // SAFETY: the C library's errno of this thread.
    unsafe { *libc::__errno_location() = errno };
    -1
}

fn without_memory() -> *mut c_void {
    fail(libc::ENOMEM);
    null_mut()
}

unsafe extern "C" {
    // glibc's own names of its allocator, which nothing replaces.
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(old: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_memalign(alignment: usize, size: usize) -> *mut c_void;
    fn __libc_free(memory: *mut c_void);
}

/// What a block takes from the heap.
fn size_of_block(memory: *mut c_void) -> i64 {
    // SAFETY: NULL, or a block of the allocator's that has not been freed.
    unsafe { libc::malloc_usable_size(memory) as i64 }
}

fn counted(memory: *mut c_void) -> *mut c_void {
    HEAP.fetch_add(size_of_block(memory), Relaxed);
    memory
}

/// # Safety
/// As the C library's.
pub unsafe fn malloc(size: usize) -> *mut c_void {
    if refused(Resource::Memory) {
        return without_memory();
    }
    // SAFETY: takes any size.
    counted(unsafe { __libc_malloc(size) })
}

/// # Safety
/// As the C library's.
pub unsafe fn calloc(count: usize, size: usize) -> *mut c_void {
    if refused(Resource::Memory) {
        return without_memory();
    }
    // SAFETY: takes any sizes.
    counted(unsafe { __libc_calloc(count, size) })
}

/// # Safety
/// As the C library's.
pub unsafe fn realloc(old: *mut c_void, size: usize) -> *mut c_void {
    if refused(Resource::Memory) {
        return without_memory();
    }
    let before = size_of_block(old);
    // SAFETY: the caller's word.
    let new = unsafe { __libc_realloc(old, size) };
    if !new.is_null() || size == 0 {
        HEAP.fetch_sub(before, Relaxed);
        counted(new);
    }
    new
}

/// # Safety
/// As the C library's.
pub unsafe fn memalign(alignment: usize, size: usize) -> *mut c_void {
    if refused(Resource::Memory) {
        return without_memory();
    }
    // SAFETY: the caller's word.
    counted(unsafe { __libc_memalign(alignment, size) })
}

/// # Safety
/// As the C library's.
pub unsafe fn posix_memalign(place: *mut *mut c_void, alignment: usize, size: usize) -> c_int {
    // SAFETY: the caller's word.
    let memory = unsafe { memalign(alignment, size) };
    if memory.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's word.
    unsafe { place.write(memory) };
    0
}

/// # Safety
/// As the C library's.
pub unsafe fn free(memory: *mut c_void) {
    HEAP.fetch_sub(size_of_block(memory), Relaxed);
    // SAFETY: the caller's word.
    unsafe { __libc_free(memory) };
}

/// The C library's function behind one of this executable's, found at the first call. (A OnceLock
/// would make system calls itself.)
macro_rules! behind {
    ($name:literal as fn($($kind:ty),*) -> $answer:ty) => {{
        type Function = unsafe extern "C" fn($($kind),*) -> $answer;
        static REAL: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
        let mut real = REAL.load(Relaxed);
        if real.is_null() {
            // SAFETY: every function pointer fits into a pointer.
            real = unsafe { bench::threads::next::<*mut c_void>($name) };
            REAL.store(real, Relaxed);
        }
        // SAFETY: POSIX or Linux gives the function this type.
        unsafe { std::mem::transmute::<*mut c_void, Function>(real) }
    }};
}
pub(super) use behind;

/// # Safety
/// As the C library's.
pub unsafe fn mmap(
    at: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> *mut c_void {
    if refused(Resource::Memory) {
        fail(libc::ENOMEM);
        return libc::MAP_FAILED;
    }
    let real = behind!(c"mmap" as fn(*mut c_void, usize, c_int, c_int, c_int, i64) -> *mut c_void);
    // SAFETY: the caller's word.
    unsafe { real(at, length, protection, flags, fd, offset) }
}

/// # Safety
/// As the C library's.
pub unsafe fn pthread_create(
    thread: *mut Thread,
    attributes: *const c_void,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    if refused(Resource::Threads) {
        return libc::EAGAIN;
    }
    let real =
        behind!(c"pthread_create" as fn(*mut Thread, *const c_void, Start, *mut c_void) -> c_int);
    // SAFETY: the caller's word.
    unsafe { real(thread, attributes, start, argument) }
}

/// # Safety
/// As the C library's.
pub unsafe fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    let copies = [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC].contains(&command);
    if copies && refused(Resource::Descriptors) {
        return fail(libc::EMFILE);
    }
    let real = behind!(c"fcntl" as fn(c_int, c_int, usize) -> c_int);
    // SAFETY: the caller's word.
    let answer = unsafe { real(fd, command, argument) };
    if copies {
        devices::copied(fd, answer);
    }
    answer
}

/// # Safety
/// As the C library's.
pub unsafe fn dup(fd: c_int) -> c_int {
    if refused(Resource::Descriptors) {
        return fail(libc::EMFILE);
    }
    let real = behind!(c"dup" as fn(c_int) -> c_int);
    // SAFETY: the caller's word.
    let answer = unsafe { real(fd) };
    devices::copied(fd, answer);
    answer
}

/// # Safety
/// As the C library's.
pub unsafe fn open(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    if refused(Resource::Descriptors) {
        return fail(libc::EMFILE);
    }
    let real = behind!(c"open" as fn(*const c_char, c_int, c_int) -> c_int);
    // SAFETY: the caller's word.
    unsafe { real(path, flags, mode) }
}

/// # Safety
/// As the C library's.
pub unsafe fn close(fd: c_int) -> c_int {
    devices::closed(fd);
    let real = behind!(c"close" as fn(c_int) -> c_int);
    // SAFETY: the caller's word.
    unsafe { real(fd) }
}

/// # Safety
/// As the C library's.
pub unsafe fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    let resource = match number {
        libc::SYS_io_setup => Some(Resource::Contexts),
        libc::SYS_io_submit => Some(Resource::Requests),
        _ => None,
    };
    if resource.is_some_and(refused) {
        return fail(libc::EAGAIN).into();
    }
    let real =
        behind!(c"syscall" as fn(c_long, usize, usize, usize, usize, usize, usize) -> c_long);
    let submits = number == libc::SYS_io_submit;
    if submits {
        SUBMITTING.fetch_add(1, SeqCst);
    }
    // SAFETY: the caller's word.
    let answer = unsafe { real(number, a, b, c, d, e, f) };
    if submits {
        SUBMITTING.fetch_sub(1, SeqCst);
    }
    answer
}

/// libmultipath's: whether the struct's class wants its answers at once.
///
/// # Safety
/// `checker` must point to a struct checker.
pub unsafe fn checker_is_sync(checker: *const c_void) -> c_int {
    // SAFETY: `cls` is the first word of the struct in every layout.
    let cls = unsafe { checker.cast::<*mut c_void>().read_unaligned() };
    assert!(cls == class(), "checker_is_sync of no struct checker");
    SYNC.load(SeqCst).into()
}

/// libmultipath's: formats a line, and forgets it.
///
/// # Safety
/// `format` must be a C format string that needs at most the four words that follow.
pub unsafe fn dlog(_level: c_int, format: *const c_char, a: usize, b: usize, c: usize, d: usize) {
    let mut text = [0; 1024];
    // SAFETY: the buffer's size is given; the rest is the caller's word.
    unsafe { libc::snprintf(text.as_mut_ptr(), text.len(), format, a, b, c, d) };
    LINES.fetch_add(1, Relaxed);
}

//! A host to whom the C library and the kernel refuse things on command: memory, threads,
//! descriptors, AIO contexts and AIO requests, one refusal or many in a row, at every place in turn.
//!
//! Each *case* is a short life of one path in a process of its own, forked from one that has only
//! loaded the plugin: cases do not see each other, and one that crashes or hangs is only a case.
//! What a life may come to is a failed init, UNCHECKED, or the verdict that the device deserves.
//! Afterwards the path must get its verdict and nothing may be left behind.
//!
//! | module | subject |
//! |---|---|
//! | `faults` | the functions that plugins call instead of the C library's |
//! | `devices` | the SCSI devices, by descriptor |
//! | `world` | the paths of one case |
//! | `life` | one case |
//! | `host` | all cases, each in its process |
//! | `scenes` | fork, signals, stops and cancellation |

pub mod devices;
pub mod faults;
pub mod host;
mod life;
mod scenes;
mod world;

/// Exports what a host with these faults offers in place of the C library and of `libmultipath`; to
/// be used once, in the executable.
#[macro_export]
macro_rules! export_shortage {
    ($($marker:ident),* $(,)?) => {
        use ::std::ffi::{c_char, c_int, c_long, c_ulong, c_void};
        use $crate::shortage::{devices, faults};

        #[unsafe(no_mangle)]
        #[allow(non_upper_case_globals)]
        static libmp_verbosity: ::std::sync::atomic::AtomicI32 =
            ::std::sync::atomic::AtomicI32::new(4);

        $crate::export_shortage! { @basics
            fn checker_is_sync(checker: *const c_void) -> c_int = faults::checker_is_sync;
            fn dlog(level: c_int, format: *const c_char, a: usize, b: usize, c: usize, d: usize) -> ()
                = faults::dlog;
            fn malloc(size: usize) -> *mut c_void = faults::malloc;
            fn calloc(count: usize, size: usize) -> *mut c_void = faults::calloc;
            fn realloc(old: *mut c_void, size: usize) -> *mut c_void = faults::realloc;
            fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void = faults::memalign;
            fn memalign(alignment: usize, size: usize) -> *mut c_void = faults::memalign;
            fn posix_memalign(place: *mut *mut c_void, alignment: usize, size: usize) -> c_int
                = faults::posix_memalign;
            fn free(memory: *mut c_void) -> () = faults::free;
            fn mmap(at: *mut c_void, length: usize, protection: c_int, flags: c_int, fd: c_int,
                offset: i64) -> *mut c_void = faults::mmap;
            fn mmap64(at: *mut c_void, length: usize, protection: c_int, flags: c_int, fd: c_int,
                offset: i64) -> *mut c_void = faults::mmap;
            fn pthread_create(thread: *mut bench::threads::Thread, attributes: *const c_void,
                start: bench::threads::Start, argument: *mut c_void) -> c_int = faults::pthread_create;
            fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int = faults::fcntl;
            fn fcntl64(fd: c_int, command: c_int, argument: usize) -> c_int = faults::fcntl;
            fn dup(fd: c_int) -> c_int = faults::dup;
            fn open(path: *const c_char, flags: c_int, mode: c_int) -> c_int = faults::open;
            fn open64(path: *const c_char, flags: c_int, mode: c_int) -> c_int = faults::open;
            fn close(fd: c_int) -> c_int = faults::close;
            fn syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize)
                -> c_long = faults::syscall;
            fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int = devices::ioctl;
        }
        ::harness::export_markers!($($marker),*);
    };
    (@basics $(fn $name:ident($($arg:ident: $kind:ty),*) -> $answer:ty = $to:path;)*) => {
        $(
            /// The C library's function, or libmultipath's. Those that are variadic there find word
            /// sized arguments where one with as many parameters does, on the 64-bit ABIs of Linux.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($arg: $kind),*) -> $answer {
                // SAFETY: the caller's promise to the function of that name is the one needed here.
                unsafe { $to($($arg),*) }
            }
        )*
    };
}

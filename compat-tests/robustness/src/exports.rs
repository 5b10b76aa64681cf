//! What a host to which resources are refused exports.

/// Exports what a host with these faults offers in place of the C library and of `libmultipath`; to
/// be used once, in the executable.
#[macro_export]
macro_rules! export_shortage {
    ($($marker:ident),* $(,)?) => {
        use ::std::ffi::{c_char, c_int, c_long, c_ulong, c_void};
        use $crate::{devices, faults};

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

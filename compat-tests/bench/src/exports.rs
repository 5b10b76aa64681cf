//! What every host executable exports besides the functions of its ABI's `libmultipath`: the
//! devices' `ioctl`, and the thread functions by which threads are counted.

/// Exports the devices' `ioctl`, and the `fcntl` by which their descriptors are duplicated.
#[macro_export]
macro_rules! export_devices {
    () => {
        /// `int ioctl(int, unsigned long, ...)`. On the 64-bit ABIs of Linux the one variadic
        /// argument is passed like a third ordinary one.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn ioctl(
            fd: ::std::ffi::c_int,
            request: ::std::ffi::c_ulong,
            argument: *mut ::std::ffi::c_void,
        ) -> ::std::ffi::c_int {
            // SAFETY: the caller's promise to the C library's ioctl is the one needed here.
            unsafe { $crate::stub::ioctl(fd, request, argument) }
        }

        /// `int fcntl(int, int, ...)`; a duplicate of a device's descriptor is that device.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn fcntl(
            fd: ::std::ffi::c_int,
            command: ::std::ffi::c_int,
            argument: usize,
        ) -> ::std::ffi::c_int {
            // SAFETY: the caller's promise to the C library's fcntl is the one needed here.
            unsafe { $crate::stub::fcntl(fd, command, argument) }
        }
    };
}

/// Exports it; to be used once, in the executable.
#[macro_export]
macro_rules! export_machine {
    () => {
        $crate::export_devices!();

        /// POSIX; counts, and lets the C library do it.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn pthread_create(
            thread: *mut $crate::threads::Thread,
            attributes: *const ::std::ffi::c_void,
            start: $crate::threads::Start,
            argument: *mut ::std::ffi::c_void,
        ) -> ::std::ffi::c_int {
            // SAFETY: the caller's promise to the C library's function is the one needed here.
            unsafe { $crate::threads::create(thread, attributes, start, argument) }
        }
    };
}

/// Exports `start_checker_thread`, as hosts of multipath-tools 0.8.6 to 0.14 do.
#[macro_export]
macro_rules! export_thread_helper {
    () => {
        /// `int start_checker_thread(pthread_t *, const pthread_attr_t *, struct checker_context *)`
        #[unsafe(no_mangle)]
        unsafe extern "C" fn start_checker_thread(
            thread: *mut $crate::threads::Thread,
            attributes: *const ::std::ffi::c_void,
            context: *mut ::std::ffi::c_void,
        ) -> ::std::ffi::c_int {
            // SAFETY: the arguments are passed on as they came, with the function that the plugin
            // has for such a thread.
            unsafe { $crate::threads::start_checker_thread(thread, attributes, context) }
        }
    };
}

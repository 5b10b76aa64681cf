//! Where a host's call enters and leaves.
//!
//! Two things must not cross. A panic would unwind into C. And multipathd ends by cancelling its
//! threads, any of which may be inside a plugin: a cancellation would unwind through our frames with
//! locks held, so it has to wait until the call is over.
//! (multipathd's threads have deferred cancellation. Under asynchronous cancellation POSIX allows no
//! function to be called but three, so no plugin can be used there.)

use crate::{log_bridge, threads};
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

unsafe extern "C" {
    /// POSIX; not in the libc crate for every target.
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

/// `PTHREAD_CANCEL_DISABLE` of <pthread.h>, the same in glibc and musl.
const PTHREAD_CANCEL_DISABLE: c_int = 1;

/// Runs the inside of an exported function; `fallback` is the answer when it panics.
pub(crate) fn enter<T>(name: &'static str, fallback: T, inside: impl FnOnce() -> T) -> T {
    let _uncancellable = CancelDisabled::new();
    log_bridge::follow_verbosity();
    threads::report();
    catch_unwind(AssertUnwindSafe(inside)).unwrap_or_else(|payload| {
        // Dropping a payload may panic as well.
        std::mem::forget(payload);
        let _ = catch_unwind(|| log::error!("{name} checker: internal error, call abandoned"));
        fallback
    })
}

/// Cancellation of the calling thread is put off while this lives.
struct CancelDisabled(Option<c_int>);

impl CancelDisabled {
    fn new() -> CancelDisabled {
        let mut before = 0;
        // SAFETY: the state is one of the two that POSIX has, and the pointer is to an int of ours.
        let code = unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut before) };
        CancelDisabled((code == 0).then_some(before))
    }
}

impl Drop for CancelDisabled {
    fn drop(&mut self) {
        if let Some(before) = self.0 {
            // SAFETY: `before` is the state that the first call returned; NULL is allowed on Linux.
            unsafe { pthread_setcancelstate(before, ptr::null_mut()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cancel_state() -> c_int {
        let mut state = -1;
        // SAFETY: the pointer is to an int of ours; the state is set back at once.
        unsafe {
            pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut state);
            pthread_setcancelstate(state, ptr::null_mut());
        }
        state
    }

    #[test]
    fn a_panic_becomes_the_fallback_and_the_state_comes_back() {
        let before = cancel_state();
        assert_eq!(enter("test", 7, || panic!("on purpose")), 7);
        assert_eq!(cancel_state(), before);
        assert_eq!(enter("test", 0, cancel_state), PTHREAD_CANCEL_DISABLE);
        assert_eq!(cancel_state(), before);
    }
}

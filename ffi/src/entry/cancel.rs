// SPDX-License-Identifier: LGPL-2.0-or-later

//! Deferring the cancellation of the calling thread.
//!
//! multipathd ends by cancelling its threads, any of which may be inside a plugin. A cancellation would
//! unwind through Rust frames with locks held, so it has to wait until the call has returned.
//! (multipathd's threads have deferred cancellation. Under asynchronous cancellation POSIX allows only
//! three functions to be called, so no plugin can be used there.)

use std::ffi::c_int;
use std::ptr;

unsafe extern "C" {
    /// POSIX; not in the libc crate for every target.
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

/// `PTHREAD_CANCEL_DISABLE` of <pthread.h>, the same in glibc and musl.
pub(super) const PTHREAD_CANCEL_DISABLE: c_int = 1;

/// The calling thread cannot be cancelled until this is dropped.
pub(super) struct CancelDisabled(Option<c_int>);

impl CancelDisabled {
    pub(super) fn new() -> CancelDisabled {
        let mut before = 0;
        // SAFETY: the state is one of the two that POSIX has, and the pointer is to a local variable.
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

/// The cancellation state of the calling thread.
#[cfg(test)]
pub(super) fn cancel_state() -> c_int {
    let mut state = -1;
    // SAFETY: the pointer is to a local variable; the state is set back at once.
    unsafe {
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut state);
        pthread_setcancelstate(state, ptr::null_mut());
    }
    state
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Threads of plugins written for multipath-tools 0.8.6 to 0.14.x.
//!
//! Such a thread may hang in the kernel and outlive every path of its class. The plugin must stay
//! loaded as long, so the thread holds a reference to the class, which is released after the last frame of
//! the plugin: in a destructor of thread-specific data, which runs whether the thread returns, exits or is
//! cancelled.

use crate::entries::{Entries, Thread};
use checkers_core::registry::Class;
use checkers_ffi::entry::enter;
use checkers_ffi::host::Symbols;
use kernel_fd::Errno;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

/// The beginning of a plugin's own context: the class of its path.
#[repr(C)]
pub struct CheckerContext {
    cls: *const c_void,
}

unsafe extern "C" {
    /// POSIX; with a type for the start routine through which a cancellation may unwind.
    fn pthread_create(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        start: Thread,
        argument: *mut c_void,
    ) -> c_int;
}

/// Starts `libcheck_thread` of the context's class. Returns 0 or an error number.
///
/// # Safety
/// `thread` and `attributes` are as for `pthread_create`. `context` must be NULL or point to a context
/// whose class is NULL or was selected by [`crate::Library::get`], for a path that still has it; it
/// must stay valid until the thread's function has begun.
pub(super) unsafe fn start(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    context: *mut CheckerContext,
) -> c_int {
    // SAFETY: as this function's Safety section requires.
    let Some(class) = (unsafe { class(context) }) else {
        log::warn!("failed to start checker thread: no class");
        return libc::EINVAL;
    };
    let has_thread = class
        .module()
        .is_some_and(|entries| entries.thread.is_some());
    let code = if !has_thread {
        libc::EINVAL
    } else if key().is_none() {
        libc::EAGAIN
    } else if !class.hold() {
        libc::EINVAL
    } else {
        rcu();
        // SAFETY: the caller guarantees the arguments, and `run` gets the context.
        let code = unsafe { pthread_create(thread, attributes, run, context.cast()) };
        if code != 0 {
            class.release();
        }
        code
    };
    if code != 0 {
        log::warn!(
            "failed to start checker thread for {}: {}",
            class.name(),
            Errno(code)
        );
    }
    code
}

/// The thread. Nothing in this frame needs dropping, so a cancellation may unwind through it.
unsafe extern "C-unwind" fn run(context: *mut c_void) -> *mut c_void {
    // SAFETY: `start` passes a context that its caller keeps until the plugin's function has begun.
    let Some(class) = (unsafe { class(context.cast()) }) else {
        return ptr::null_mut();
    };
    if let Some(rcu) = rcu() {
        // SAFETY: the function has no arguments, and this thread has not been registered before.
        unsafe { (rcu.register)() };
    }
    let value = ptr::from_ref(class).cast::<c_void>();
    // SAFETY: the key exists, which `start` has checked.
    let kept = key().is_some_and(|key| unsafe { libc::pthread_setspecific(*key, value) } == 0);
    let result = match class.module().and_then(|entries| entries.thread) {
        // SAFETY: the plugin's function gets its context; this thread keeps the plugin loaded.
        Some(thread) => unsafe { thread(context) },
        None => ptr::null_mut(),
    };
    if !kept {
        // SAFETY: the value is this thread's class. It was not stored under the key, so the destructor does
        // not release it a second time.
        unsafe { leave(value.cast_mut()) };
    }
    result
}

/// The end of the thread, after all of the plugin's code.
///
/// # Safety
/// `class` must be the class to which the thread holds a reference, which is released.
unsafe extern "C" fn leave(class: *mut c_void) {
    enter("path", (), || {
        // SAFETY: as this function's Safety section requires; classes are never freed.
        if let Some(class) = unsafe { class.cast::<Class<Entries>>().as_ref() } {
            class.release();
        }
        if let Some(rcu) = rcu() {
            // SAFETY: the function has no arguments, and the thread was registered when it began.
            unsafe { (rcu.unregister)() };
        }
    });
}

/// The class of a context.
///
/// # Safety
/// As the last sentence of [`start`].
unsafe fn class(context: *const CheckerContext) -> Option<&'static Class<Entries>> {
    // SAFETY: as this function's Safety section requires.
    let class = unsafe { context.as_ref() }?.cls;
    // SAFETY: likewise; classes are never freed.
    unsafe { class.cast::<Class<Entries>>().as_ref() }
}

/// The key under which a thread keeps its class; `None` if there was none to be had.
fn key() -> Option<&'static libc::pthread_key_t> {
    static KEY: OnceLock<Option<libc::pthread_key_t>> = OnceLock::new();
    KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: the pointer is to a local variable; the destructor takes the values that `run` sets.
        let code = unsafe { libc::pthread_key_create(&mut key, Some(leave)) };
        (code == 0).then_some(key)
    })
    .as_ref()
}

/// liburcu's functions by which a thread registers before it may read what libmultipath protects.
struct Rcu {
    register: unsafe extern "C" fn(),
    unregister: unsafe extern "C" fn(),
}

/// liburcu, if the program has it. The functions of its default flavour have had two names.
fn rcu() -> Option<&'static Rcu> {
    static RCU: OnceLock<Option<Rcu>> = OnceLock::new();
    RCU.get_or_init(|| {
        let symbols = Symbols::new();
        let (register, unregister) = [
            (c"urcu_memb_register_thread", c"urcu_memb_unregister_thread"),
            (c"rcu_register_thread_memb", c"rcu_unregister_thread_memb"),
        ]
        .into_iter()
        .find_map(|(on, off)| Some((symbols.find(on)?, symbols.find(off)?)))?;
        // SAFETY: both functions have this type in every release of liburcu.
        unsafe {
            Some(Rcu {
                register: std::mem::transmute::<*mut c_void, unsafe extern "C" fn()>(
                    register.as_ptr(),
                ),
                unregister: std::mem::transmute::<*mut c_void, unsafe extern "C" fn()>(
                    unregister.as_ptr(),
                ),
            })
        }
    })
    .as_ref()
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The functions of the ABI, once for every checker; [`export_checker!`](crate::export_checker) gives
//! them their C names.
//!
//! `context` points to a heap cell with the checker's instance, made in [`init`] and dropped in [`free`].
//! The host zeroes the struct before `init`, leaves `context` alone, and never overlaps calls on one
//! struct.

use super::enter;
use crate::abi::{Abi, HostChecker};
use crate::host::{self, Host};
use checkers_core::memory::{Cell, try_box};
use checkers_core::{Call, Checker, Initialized, PathState, Reported, Verdict};
use std::ffi::{c_int, c_long, c_void};
use std::ptr::{NonNull, null_mut};

/// `int libcheck_init(struct checker *)`: returns 0, or 1 when the path cannot be checked: for a NULL
/// pointer, for an unknown host, without memory, and when the checker declines the path.
///
/// # Safety
/// `checker` must be NULL or a `struct checker` of the host, as libmultipath passes it.
pub unsafe fn init<T: Checker>(checker: *mut c_void) -> c_int {
    enter(T::NAME, 1, || {
        let Some((host, begun)) = host::begin_instance() else {
            return 1;
        };
        // SAFETY: `init`'s caller guarantees the struct.
        let Some(checker) = (unsafe { HostChecker::new(host.abi, checker, null_mut()) }) else {
            return 1;
        };
        // Up to 0.8.2 a host does not know `libcheck_mp_init`, which leaves its work to `init`.
        if T::USES_MAP && host.abi == Abi::V0_7_9 && !provide_map_memory(checker) {
            return 1;
        }
        // The memory comes first, so that no instance has to be dropped for lack of it.
        let Ok(mut context) = try_box(None::<T>) else {
            return 1;
        };
        let Initialized { instance, message } = T::init(&call(host, checker, false));
        if let Some(message) = message {
            checker.set_message(message);
        }
        let Ok(instance) = instance else { return 1 };
        *context = [Some(instance)];
        checker.set_context(Box::into_raw(context).cast());
        begun.keep();
        0
    })
}

/// `int libcheck_check(struct checker *, long *map)`: returns a path state, UNCHECKED without an instance.
/// Hosts before 0.15.0 pass one argument only, and the second is not read then.
///
/// # Safety
/// As [`init`]; for a host of 0.15.0 or later, `map` must be NULL or point to the map's word.
pub unsafe fn check<T: Checker>(checker: *mut c_void, map: *mut c_long) -> c_int {
    let without_instance = |_| Verdict::silent(PathState::Unchecked);
    // SAFETY: the caller guarantees both pointers.
    unsafe { report(checker, map, T::check, without_instance) }
}

/// `int libcheck_pending(struct checker *, long *map)`: returns a path state, without an instance
/// [`Checker::idle`].
///
/// # Safety
/// As [`check`].
pub unsafe fn pending<T: Checker>(checker: *mut c_void, map: *mut c_long) -> c_int {
    // SAFETY: the caller guarantees both pointers.
    unsafe { report(checker, map, T::pending, T::idle) }
}

/// Calls `function` of the instance and reports the verdict. `without_instance` returns the verdict for a
/// struct without one, from the state that the host has stored.
///
/// # Safety
/// As [`check`].
unsafe fn report<T: Checker>(
    checker: *mut c_void,
    map: *mut c_long,
    function: fn(&mut T, &Call) -> Reported,
    without_instance: fn(PathState) -> Verdict,
) -> c_int {
    let unchecked = PathState::Unchecked.as_raw();
    enter(T::NAME, unchecked, || {
        // SAFETY: the caller guarantees both pointers.
        let Some((host, checker)) = (unsafe { known(checker, map) }) else {
            return unchecked;
        };
        // SAFETY: `context` is NULL or was set by `init`, and the host does not overlap calls.
        let Some(instance) = (unsafe { instance::<T>(checker) }) else {
            let stored = checker.path_state().unwrap_or(PathState::Unchecked);
            return checker.report(without_instance(stored));
        };
        let Reported { verdict, map } = function(instance, &call(host, checker, T::USES_MAP));
        if let Some(value) = map {
            checker.set_map(value);
        }
        checker.report(verdict)
    })
}

/// `bool libcheck_need_wait(struct checker *)`: returns whether the host is to wait a moment before
/// [`pending`]; `false` without an instance.
///
/// # Safety
/// As [`init`].
pub unsafe fn need_wait<T: Checker>(checker: *mut c_void) -> bool {
    enter(T::NAME, false, || {
        // SAFETY: the caller guarantees the struct.
        let known = unsafe { known(checker, null_mut()) };
        known.is_some_and(|(_, checker)| {
            // SAFETY: `context` is NULL or was set by `init`, and the host does not overlap calls.
            unsafe { instance::<T>(checker) }.is_some_and(|instance| instance.need_wait())
        })
    })
}

/// `void libcheck_free(struct checker *)`. Without an instance it has no effect.
///
/// # Safety
/// As [`init`].
pub unsafe fn free<T: Checker>(checker: *mut c_void) {
    enter(T::NAME, (), || {
        // SAFETY: the caller guarantees the struct.
        let Some((host, checker)) = (unsafe { known(checker, null_mut()) }) else {
            return;
        };
        let Some(context) = NonNull::new(checker.context()) else {
            return;
        };
        checker.set_context(null_mut());
        host::end_instance();
        // SAFETY: `context` was made by `Box::into_raw` in `init`, and the host's copy has just been
        // cleared.
        let cell: Cell<Option<T>> = unsafe { Box::from_raw(context.as_ptr().cast()) };
        let [instance] = *cell;
        if let Some(instance) = instance {
            instance.free(&call(host, checker, false));
        }
    });
}

/// `void libcheck_reset(void)`.
pub fn reset<T: Checker>() {
    enter(T::NAME, (), T::reset);
}

/// `int libcheck_mp_init(struct checker *)`: gives the map an `int` of zero, allocated by the C library
/// because the host frees it. Returns 0, or 1 for a NULL pointer, for an unknown host, and without memory.
///
/// # Safety
/// As [`init`].
pub unsafe fn mp_init<T: Checker>(checker: *mut c_void) -> c_int {
    enter(T::NAME, 1, || {
        let Some(host) = host::find() else { return 1 };
        // SAFETY: the caller guarantees the struct.
        let checker = unsafe { HostChecker::new(host.abi, checker, null_mut()) };
        c_int::from(!checker.is_some_and(provide_map_memory))
    })
}

/// `int libcheck_assume_abi(int letter)`: tells a plugin the ABI of a program without libmultipath: `'B'`
/// for multipath-tools 0.7.9 to 0.10.x, `'C'` for 0.11.0 to 0.14.x, `'D'` for 0.15.0 and later. Returns 0,
/// or -1 for another letter, when there is a libmultipath, and while instances with another ABI exist.
pub fn assume_abi(letter: c_int) -> c_int {
    enter("libcheck_assume_abi", -1, || {
        if host::assume(letter) { 0 } else { -1 }
    })
}

/// The host and its struct. `None` for a NULL pointer, for a host that no `init` has detected yet, and for an
/// unknown one.
///
/// # Safety
/// As [`check`].
unsafe fn known(checker: *mut c_void, map: *mut c_long) -> Option<(&'static Host, HostChecker)> {
    let host = host::current()?;
    // SAFETY: the caller guarantees both pointers.
    let checker = unsafe { HostChecker::new(host.abi, checker, map) }?;
    Some((host, checker))
}

fn call(host: &Host, checker: HostChecker, with_map: bool) -> Call {
    checker.call(host.mode(checker), with_map)
}

/// Gives the map its `int`, if there is a map that has none. Returns `false` without memory.
fn provide_map_memory(checker: HostChecker) -> bool {
    let Some(pointer) = NonNull::new(checker.map_pointer()) else {
        return true;
    };
    // SAFETY: the host guarantees that a non-NULL mpcontext points to its pointer variable.
    if !unsafe { pointer.read() }.is_null() {
        return true;
    }
    // SAFETY: calloc has no precondition.
    let memory = unsafe { libc::calloc(1, size_of::<c_int>()) };
    if memory.is_null() {
        return false;
    }
    // SAFETY: as for the read above.
    unsafe { pointer.write(memory) };
    true
}

/// The instance of a host's struct, if it has one.
///
/// # Safety
/// `context` must be NULL or set by [`init`] with the same `T`, and the instance must not be used elsewhere
/// during `'a`.
unsafe fn instance<'a, T: Checker>(checker: HostChecker) -> Option<&'a mut T> {
    let mut context = NonNull::new(checker.context().cast::<Option<T>>())?;
    // SAFETY: the caller guarantees the context and exclusive use.
    unsafe { context.as_mut() }.as_mut()
}

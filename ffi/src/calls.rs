//! The functions of the ABI, once for every checker; [`export_checker!`](crate::export_checker)
//! gives them their C names.
//!
//! `context` points to a heap cell with the checker's instance, made in [`init`] and taken back in
//! [`free`]. The host zeroes the struct before `init`, leaves `context` alone, and never overlaps
//! calls on one struct.

use crate::era::Era;
use crate::layout::RawChecker;
use crate::{border, host};
use checkers_core::memory::{Cell, try_box};
use checkers_core::{Call, Checker, Initialized, PathState, Reported, Verdict};
use std::ffi::{c_int, c_long, c_void};
use std::ptr::{NonNull, null_mut};

/// `int libcheck_init(struct checker *)`: 0, or 1 when the path cannot be checked.
///
/// # Safety
/// `checker` must be NULL or a `struct checker` of the host, as libmultipath passes it.
pub unsafe fn init<T: Checker>(checker: *mut c_void) -> c_int {
    border::enter(T::NAME, 1, || {
        let Some((host, begun)) = host::begin_instance() else {
            return 1;
        };
        // SAFETY: the caller's promise is the one needed here.
        let Some(raw) = (unsafe { RawChecker::new(host.era, checker, null_mut()) }) else {
            return 1;
        };
        // Up to 0.8.2 a host does not know `libcheck_mp_init` and leaves that to `init`.
        if T::USES_MAP && host.era == Era::B && !provide_map_memory(raw) {
            return 1;
        }
        // The memory comes first, so that no instance is lost for want of it.
        let Ok(mut context) = try_box(None::<T>) else {
            return 1;
        };
        let Initialized { instance, message } = T::init(&raw.call(host, false));
        if let Some(message) = message {
            raw.say(message);
        }
        let Ok(instance) = instance else { return 1 };
        *context = [Some(instance)];
        raw.set_context(Box::into_raw(context).cast());
        begun.keep();
        0
    })
}

/// `int libcheck_check(struct checker *, long *map)`: a path state. Hosts before 0.15.0 pass one
/// argument only, and the second is not looked at then.
///
/// # Safety
/// As [`init`]; for a host of 0.15.0 or later, `map` must be NULL or point to the map's word.
pub unsafe fn check<T: Checker>(checker: *mut c_void, map: *mut c_long) -> c_int {
    // SAFETY: the caller's promise is passed on.
    unsafe {
        look(checker, map, T::check, |_| {
            Verdict::silent(PathState::Unchecked)
        })
    }
}

/// `int libcheck_pending(struct checker *, long *map)`: a path state.
///
/// # Safety
/// As [`check`].
pub unsafe fn pending<T: Checker>(checker: *mut c_void, map: *mut c_long) -> c_int {
    // SAFETY: the caller's promise is passed on.
    unsafe { look(checker, map, T::pending, T::idle) }
}

/// Puts `question` to the instance; without one, `otherwise` answers from the state that the host has
/// stored.
///
/// # Safety
/// As [`check`].
unsafe fn look<T: Checker>(
    checker: *mut c_void,
    map: *mut c_long,
    question: fn(&mut T, &Call) -> Reported,
    otherwise: fn(PathState) -> Verdict,
) -> c_int {
    let unchecked = PathState::Unchecked.as_raw();
    border::enter(T::NAME, unchecked, || {
        let Some(host) = host::current() else {
            return unchecked;
        };
        // SAFETY: the caller's promise is the one needed here.
        let Some(raw) = (unsafe { RawChecker::new(host.era, checker, map) }) else {
            return unchecked;
        };
        // SAFETY: `context` is NULL or what `init` made, and the host does not overlap calls.
        let Some(instance) = (unsafe { instance::<T>(raw) }) else {
            return raw.answer(otherwise(raw.path_state()));
        };
        let Reported { verdict, map } = question(instance, &raw.call(host, T::USES_MAP));
        if let Some(value) = map {
            raw.set_map(value);
        }
        raw.answer(verdict)
    })
}

/// `bool libcheck_need_wait(struct checker *)`.
///
/// # Safety
/// As [`init`].
pub unsafe fn need_wait<T: Checker>(checker: *mut c_void) -> bool {
    border::enter(T::NAME, false, || {
        let Some(host) = host::current() else {
            return false;
        };
        // SAFETY: the caller's promise is the one needed here.
        let Some(raw) = (unsafe { RawChecker::new(host.era, checker, null_mut()) }) else {
            return false;
        };
        // SAFETY: `context` is NULL or what `init` made, and the host does not overlap calls.
        unsafe { instance::<T>(raw) }.is_some_and(|instance| instance.need_wait())
    })
}

/// `void libcheck_free(struct checker *)`.
///
/// # Safety
/// As [`init`].
pub unsafe fn free<T: Checker>(checker: *mut c_void) {
    border::enter(T::NAME, (), || {
        let Some(host) = host::current() else { return };
        // SAFETY: the caller's promise is the one needed here.
        let Some(raw) = (unsafe { RawChecker::new(host.era, checker, null_mut()) }) else {
            return;
        };
        let Some(context) = NonNull::new(raw.context()) else {
            return;
        };
        raw.set_context(null_mut());
        host::end_instance();
        // SAFETY: `context` was made by `Box::into_raw` in `init` and has just been forgotten.
        let cell: Cell<Option<T>> = unsafe { Box::from_raw(context.as_ptr().cast()) };
        let [instance] = *cell;
        if let Some(instance) = instance {
            instance.free(&raw.call(host, false));
        }
    });
}

/// `void libcheck_reset(void)`.
pub fn reset<T: Checker>() {
    border::enter(T::NAME, (), T::reset);
}

/// `int libcheck_mp_init(struct checker *)`: gives the map an `int` of zero, from the C allocator,
/// because the host frees it. 0, or 1 without memory.
///
/// # Safety
/// As [`init`].
pub unsafe fn mp_init<T: Checker>(checker: *mut c_void) -> c_int {
    border::enter(T::NAME, 1, || {
        let Some(host) = host::find() else { return 1 };
        // SAFETY: the caller's promise is the one needed here.
        let Some(raw) = (unsafe { RawChecker::new(host.era, checker, null_mut()) }) else {
            return 1;
        };
        c_int::from(!provide_map_memory(raw))
    })
}

/// `int libcheck_assume_abi(int era)`: tells a plugin without a libmultipath around it the era of its
/// host, `'B'`, `'C'` or `'D'`. 0 when taken; -1 when the letter means nothing, when there is a real
/// host, or when instances of another era exist.
pub fn assume_abi(era: c_int) -> c_int {
    border::enter("libcheck_assume_abi", -1, || {
        if host::assume(era) { 0 } else { -1 }
    })
}

/// Gives the map its `int`, where there is a map that has none. Says whether there was memory for it.
fn provide_map_memory(raw: RawChecker) -> bool {
    let Some(place) = NonNull::new(raw.map_pointer()) else {
        return true;
    };
    // SAFETY: a non-NULL mpcontext points to the host's pointer variable.
    if !unsafe { place.read() }.is_null() {
        return true;
    }
    // SAFETY: calloc has no precondition.
    let memory = unsafe { libc::calloc(1, size_of::<c_int>()) };
    if memory.is_null() {
        return false;
    }
    // SAFETY: as for the read above.
    unsafe { place.write(memory) };
    true
}

/// The instance behind a host's struct, if it has one.
///
/// # Safety
/// `context` must be NULL or come from [`init`] with the same `T`, and not be in use elsewhere for
/// `'a`.
unsafe fn instance<'a, T: Checker>(raw: RawChecker) -> Option<&'a mut T> {
    let mut context = NonNull::new(raw.context().cast::<Option<T>>())?;
    // SAFETY: the caller's promise is the one needed here.
    unsafe { context.as_mut() }.as_mut()
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! `struct checker` as each ABI's C header lays it out, in guarded memory: a plugin that reads or
//! writes beyond it is noticed.

use crate::abi::Abi;
use crate::state::State;
use crate::{Doing, Result, os};
use std::ffi::{c_int, c_short, c_uint, c_void};
use std::mem::{offset_of, size_of};
use std::ptr::NonNull;

/// The structure of 0.7.9 to 0.10.x, for its offsets.
#[repr(C)]
struct Checker0_7_9 {
    cls: *mut c_void,
    fd: c_int,
    timeout: c_uint,
    disable: c_int,
    msgid: c_short,
    context: *mut c_void,
    mpcontext: *mut *mut c_void,
}

/// The structure of 0.11.0 to 0.14.x, for its offsets.
#[repr(C)]
struct Checker0_11 {
    cls: *mut c_void,
    fd: c_int,
    timeout: c_uint,
    disable: c_int,
    path_state: c_int,
    msgid: c_short,
    context: *mut c_void,
    mpcontext: *mut *mut c_void,
}

/// The structure of 0.15.0, for its offsets.
#[repr(C)]
struct Checker0_15 {
    cls: *mut c_void,
    fd: c_int,
    timeout: c_uint,
    disable: c_int,
    path_state: c_int,
    msgid: c_short,
    context: *mut c_void,
}

/// Where the fields are, in bytes from the start of the structure.
#[derive(Clone, Copy, Debug)]
pub struct Offsets {
    /// `path_state`, which ABI 0.7.9 does not have.
    pub path_state: Option<usize>,
    /// `msgid`.
    pub msgid: usize,
    /// `context`.
    pub context: usize,
    /// `mpcontext`, which ABI 0.15 does not have.
    pub mpcontext: Option<usize>,
    /// The size of the structure.
    pub size: usize,
}

/// Where `cls` is, in every layout.
pub const CLS: usize = 0;
/// Where `fd` is, in every layout.
pub const FD: usize = offset_of!(Checker0_7_9, fd);
/// Where `timeout` is, in every layout.
pub const TIMEOUT: usize = offset_of!(Checker0_7_9, timeout);

/// Where the other fields are.
pub const fn offsets(abi: Abi) -> Offsets {
    match abi {
        Abi::V0_7_9 => Offsets {
            path_state: None,
            msgid: offset_of!(Checker0_7_9, msgid),
            context: offset_of!(Checker0_7_9, context),
            mpcontext: Some(offset_of!(Checker0_7_9, mpcontext)),
            size: size_of::<Checker0_7_9>(),
        },
        Abi::V0_11 | Abi::V0_14 => Offsets {
            path_state: Some(offset_of!(Checker0_11, path_state)),
            msgid: offset_of!(Checker0_11, msgid),
            context: offset_of!(Checker0_11, context),
            mpcontext: Some(offset_of!(Checker0_11, mpcontext)),
            size: size_of::<Checker0_11>(),
        },
        Abi::V0_15 => Offsets {
            path_state: Some(offset_of!(Checker0_15, path_state)),
            msgid: offset_of!(Checker0_15, msgid),
            context: offset_of!(Checker0_15, context),
            mpcontext: None,
            size: size_of::<Checker0_15>(),
        },
    }
}

/// What the bytes before the structure are filled with.
const GUARD: u8 = 0xa5;
/// How many of them are looked at.
const GUARD_BYTES: usize = 256;

/// One `struct checker`, at the very end of a page that another, inaccessible one follows: a plugin that
/// touches a byte behind the structure ends the process.
pub struct Checker {
    pages: NonNull<u8>,
    page: usize,
    at: Offsets,
    /// The structure as the host last left it.
    expected: Vec<u8>,
    /// The host's `mpcontext` value, to which the structure's field points: what the plugin keeps for
    /// the map.
    map_value: Box<*mut c_void>,
    /// The plugin was invited to make that value.
    map_invited: bool,
}

// SAFETY: the pages belong to this value alone; calls from several threads are serialised by the
// borrow that each needs.
unsafe impl Send for Checker {}

impl Checker {
    /// A zeroed structure with the fields that a host sets before `libcheck_init`.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(abi: Abi, class: *mut c_void, fd: c_int, timeout: c_uint) -> Result<Checker> {
        let page = crate::aio_rings::page_size();
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches no other.
        let pages = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                2 * page,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if pages == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error()).doing("mapping a struct checker");
        }
        let at = offsets(abi);
        let pages = NonNull::new(pages.cast::<u8>())
            .ok_or_else(|| crate::Trouble::Broken("a mapping at address 0".to_owned()))?;
        // SAFETY: both offsets lie within the two pages mapped above.
        unsafe {
            os(libc::mprotect(
                pages.add(page).as_ptr().cast(),
                page,
                libc::PROT_NONE,
            ))
            .doing("guarding a struct checker")?;
            pages
                .add(page - at.size - GUARD_BYTES)
                .write_bytes(GUARD, GUARD_BYTES);
        }
        let mut checker = Checker {
            pages,
            page,
            at,
            expected: vec![0; at.size],
            map_value: Box::new(std::ptr::null_mut()),
            map_invited: false,
        };
        checker.write(CLS, class);
        checker.write(FD, fd);
        checker.write(TIMEOUT, timeout);
        if let Some(field) = at.path_state {
            checker.write(field, State::UNCHECKED);
        }
        checker.join_map();
        Ok(checker)
    }

    /// The structure's address, as the plugin gets it.
    pub fn as_ptr(&self) -> *mut c_void {
        self.body().as_ptr().cast()
    }

    /// `fd`.
    pub fn fd(&self) -> c_int {
        self.read(FD)
    }

    /// Sets `fd`, as `checker_set_fd` does.
    pub fn set_fd(&mut self, fd: c_int) {
        self.write(FD, fd);
    }

    /// `timeout`, in seconds.
    pub fn timeout(&self) -> c_uint {
        self.read(TIMEOUT)
    }

    /// Sets `timeout`, in seconds.
    pub fn set_timeout(&mut self, seconds: c_uint) {
        self.write(TIMEOUT, seconds);
    }

    /// `path_state`; a host of ABI 0.7.9 has none.
    pub fn path_state(&self) -> Option<State> {
        self.at.path_state.map(|field| self.read(field))
    }

    /// Sets `path_state`, where there is one.
    pub fn set_path_state(&mut self, state: State) {
        if let Some(field) = self.at.path_state {
            self.write(field, state);
        }
    }

    /// `msgid`.
    pub fn msgid(&self) -> c_short {
        self.read(self.at.msgid)
    }

    /// Sets `msgid`, as `checker_clear_message` does with 0.
    pub fn set_msgid(&mut self, id: c_short) {
        self.write(self.at.msgid, id);
    }

    /// `context`.
    pub fn context(&self) -> *mut c_void {
        self.read(self.at.context)
    }

    /// Takes the path out of its map, where the structure says that it has one: `mpcontext` is NULL.
    pub fn leave_map(&mut self) {
        self.set_mpcontext(std::ptr::null_mut());
    }

    /// Puts the path into a map, where the structure can say so.
    pub fn join_map(&mut self) {
        let value = &raw mut *self.map_value;
        self.set_mpcontext(value);
    }

    fn set_mpcontext(&mut self, value: *mut *mut c_void) {
        if let Some(field) = self.at.mpcontext {
            self.write(field, value);
        }
    }

    /// From now on the plugin may make a value for the map, as `libcheck_mp_init` does.
    pub fn invite_map_value(&mut self) {
        self.map_invited = true;
    }

    /// The map's value, if the plugin has made one.
    pub fn map_value(&self) -> Option<c_int> {
        let value = self.map_value.cast::<c_int>();
        // SAFETY: what a plugin puts there is an int from the C allocator, which is ours.
        (!value.is_null()).then(|| unsafe { value.read() })
    }

    /// Sets the map's value, as another path of the map would, if the plugin has made one.
    pub fn set_map_value(&mut self, new: c_int) {
        let value = self.map_value.cast::<c_int>();
        if !value.is_null() {
            // SAFETY: as in `map_value`.
            unsafe { value.write(new) };
        }
    }

    /// Sets every byte to zero and `fd` to -1, as the host does after `libcheck_free` and after a
    /// failed `libcheck_init`.
    pub fn clear(&mut self) {
        // SAFETY: the structure's bytes lie within the first page.
        unsafe { self.body().write_bytes(0, self.at.size) };
        self.expected.fill(0);
        self.write(FD, -1 as c_int);
    }

    /// What the plugin changed although it belongs to the host, since the host last wrote.
    pub fn harm(&mut self) -> Option<String> {
        for before in 1..=GUARD_BYTES {
            // SAFETY: the guard lies in the first page, before the structure.
            if unsafe { self.body().sub(before).read() } != GUARD {
                return Some("bytes before struct checker were overwritten".to_owned());
            }
        }
        if !self.map_invited && !self.map_value.is_null() {
            return Some("*mpcontext was written".to_owned());
        }
        let at = self.at;
        let allowed = |offset: usize| {
            (at.msgid..at.msgid + size_of::<c_short>()).contains(&offset)
                || (at.context..at.context + size_of::<*mut c_void>()).contains(&offset)
        };
        // Allocates only for a finding: some tests leave no memory.
        let mut changed = Vec::new();
        for offset in 0..at.size {
            let now: u8 = self.read(offset);
            let then = self.expected.get_mut(offset);
            let then = then.map_or(now, |then| std::mem::replace(then, now));
            if then != now && !allowed(offset) {
                changed.push(offset);
            }
        }
        if changed.is_empty() {
            None
        } else {
            Some(format!("bytes {changed:?} of struct checker were changed"))
        }
    }

    fn body(&self) -> NonNull<u8> {
        // SAFETY: the structure fills the end of the first of two mapped pages.
        unsafe { self.pages.add(self.page - self.at.size) }
    }

    fn read<T: Copy>(&self, offset: usize) -> T {
        debug_assert!(offset + size_of::<T>() <= self.at.size);
        // SAFETY: callers pass a field's own offset and type; integers and pointers may have any
        // bit pattern.
        unsafe { self.body().add(offset).cast::<T>().read_unaligned() }
    }

    fn write<T: Copy>(&mut self, offset: usize, value: T) {
        debug_assert!(offset + size_of::<T>() <= self.at.size);
        // SAFETY: callers pass a field's own offset and type.
        unsafe { self.body().add(offset).cast::<T>().write_unaligned(value) };
        // SAFETY: the structure fills the end of the first page, and is not written meanwhile.
        let now = unsafe { std::slice::from_raw_parts(self.body().as_ptr(), self.at.size) };
        self.expected.copy_from_slice(now);
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        // SAFETY: the two pages were mapped by `new` and no pointer to them is left.
        unsafe { libc::munmap(self.pages.as_ptr().cast(), 2 * self.page) };
        // SAFETY: the value is NULL or from the C allocator; the host frees it with the map.
        unsafe { libc::free(*self.map_value) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets and sizes on 64-bit machines, as the headers of the releases give them.
    #[cfg(target_pointer_width = "64")]
    #[test]
    fn layouts_are_those_of_the_releases() {
        let row = |abi| {
            let o = offsets(abi);
            (o.path_state, o.msgid, o.context, o.mpcontext, o.size)
        };
        assert_eq!(
            (FD, TIMEOUT, offset_of!(Checker0_7_9, disable)),
            (8, 12, 16)
        );
        assert_eq!(row(Abi::V0_7_9), (None, 20, 24, Some(32), 40));
        assert_eq!(row(Abi::V0_11), (Some(20), 24, 32, Some(40), 48));
        assert_eq!(row(Abi::V0_14), row(Abi::V0_11));
        assert_eq!(row(Abi::V0_15), (Some(20), 24, 32, None, 40));
        for (one, other) in [
            (offset_of!(Checker0_11, fd), offset_of!(Checker0_15, fd)),
            (
                offset_of!(Checker0_11, timeout),
                offset_of!(Checker0_15, timeout),
            ),
            (
                offset_of!(Checker0_11, disable),
                offset_of!(Checker0_15, disable),
            ),
        ] {
            assert_eq!(one, other);
        }
    }

    #[test]
    fn harm_is_seen() {
        let fresh = || Checker::new(Abi::V0_11, std::ptr::null_mut(), 3, 5).unwrap();
        let poke = |checker: &Checker, offset: isize| {
            // SAFETY: every offset below lies in the structure or in the guard before it.
            unsafe { checker.body().offset(offset).write(0x77) };
        };
        for (offset, harmful) in [
            (-1, true),
            (0, true),
            (8, true),
            (20, true),
            (24, false),
            (25, false),
            (26, true),
            (32, false),
            (39, false),
            (40, true),
        ] {
            let mut checker = fresh();
            assert_eq!(checker.harm(), None);
            poke(&checker, offset);
            assert_eq!(checker.harm().is_some(), harmful, "offset {offset}");
        }
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The plugin that was loaded first, which decides what is done once per process.
//!
//! Each plugin has its own copy of this code and of its statics, and a host may load them all. They agree
//! without a place outside of them by using the mark of the one that was loaded first. Plugins are never
//! unloaded, so it remains the first.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};

/// The exported mark of a plugin: one byte, 0 until the unknown host has been reported.
#[repr(transparent)]
pub struct Reported(AtomicU8);

impl Reported {
    /// A mark for a host that has not been reported.
    #[expect(clippy::new_without_default, reason = "for the macro alone")]
    pub const fn new() -> Reported {
        Reported(AtomicU8::new(0))
    }

    /// Sets the mark. Returns whether it was not set before.
    pub(super) fn set(&self) -> bool {
        self.0.swap(1, Ordering::AcqRel) == 0
    }
}

/// The mark of the plugin that was loaded first; `None` in a program without a plugin.
pub(super) fn first() -> Option<&'static Reported> {
    (0..).map_while(nth_object).find_map(|name| mark(&name))
}

/// The mark of the object with this name, if it is one of this project's plugins.
fn mark(name: &Name) -> Option<&'static Reported> {
    // SAFETY: the name is NUL-terminated; no constructor runs for an object that is loaded already.
    let handle =
        unsafe { libc::dlopen(name.0.as_ptr().cast(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    let handle = NonNull::new(handle)?;
    // SAFETY: the handle is open and the name NUL-terminated.
    let place = unsafe { libc::dlsym(handle.as_ptr(), c"libcheck_unknown_host_reported".as_ptr()) };
    // SAFETY: the handle is open. A plugin of this project stays loaded nevertheless.
    unsafe { libc::dlclose(handle.as_ptr()) };
    // SAFETY: only plugins of this project export the name, in every release as one byte with static
    // storage that is changed atomically, and they are never unloaded.
    unsafe { place.cast::<Reported>().as_ref() }
}

/// The path of a loaded object, NUL-terminated.
struct Name([u8; Name::SIZE]);

impl Name {
    /// Objects with longer paths are not taken for plugins.
    const SIZE: usize = 512;
}

/// A search through the loaded objects.
struct Search {
    /// The number of objects that are still to be skipped.
    skip: usize,
    found: Option<Name>,
}

/// The `n`th of the loaded objects whose file is named like a plugin, in the order in which they were
/// loaded.
fn nth_object(n: usize) -> Option<Name> {
    let mut search = Search {
        skip: n,
        found: None,
    };
    // SAFETY: the function calls `visit` with the pointer that is passed, while this frame waits.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
    search.found
}

/// Examines one object; any value but 0 ends the search. The dynamic linker holds a lock meanwhile, so it
/// must not be called from here.
unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    search: *mut c_void,
) -> c_int {
    // SAFETY: `nth_object` passes its search, which is not used elsewhere meanwhile.
    let search = unsafe { &mut *search.cast::<Search>() };
    // SAFETY: the dynamic linker passes a valid description.
    let name = unsafe { (*info).dlpi_name };
    if name.is_null() {
        return 0;
    }
    // SAFETY: names of objects are C strings, which stay while the lock is held.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if !file.starts_with(b"libcheck") {
        return 0;
    }
    if search.skip > 0 {
        search.skip -= 1;
        return 0;
    }
    let mut copy = Name([0; Name::SIZE]);
    if let Some(place) = copy.0.get_mut(..name.len()) {
        place.copy_from_slice(name);
    }
    search.found = Some(copy);
    1
}

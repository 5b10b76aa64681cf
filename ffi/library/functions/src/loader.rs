//! Where checkers come from: the table of the built-in ones, then a plugin's file.

use crate::entries::{BuiltIn, Entries, Texts};
use checkers_core::registry::{Loader, Name};
use std::ffi::{CStr, c_void};
use std::fmt;
use std::ptr::NonNull;

/// The longest path of a plugin, its NUL included (`LIB_CHECKER_NAMELEN`).
const PATH: usize = 256;

/// The checkers that can be loaded.
pub(super) struct Plugins<'a> {
    pub(super) built_in: &'static [BuiltIn],
    /// The directory with plugins.
    pub(super) directory: &'a CStr,
}

impl Loader for Plugins<'_> {
    type Module = Entries;

    fn load(&self, name: &Name) -> Option<Entries> {
        let entries = match self.built_in(name) {
            Some(entries) => {
                log::debug!("loading built-in {name} checker");
                entries
            }
            None => match self.open(name) {
                Some(entries) => entries,
                None => {
                    // As upstream, which drops the class that it has prepared.
                    log::debug!("unloading {name} checker");
                    return None;
                }
            },
        };
        log::debug!(
            "checker {name}: message table size = {}",
            entries.texts.count()
        );
        Some(entries)
    }
}

impl Plugins<'_> {
    fn built_in(&self, name: &Name) -> Option<Entries> {
        let name = name.full().to_bytes();
        self.built_in
            .iter()
            .find(|checker| checker.name.as_bytes() == name)
            .map(|checker| checker.entries)
    }

    fn open(&self, name: &Name) -> Option<Entries> {
        let path = PathBuffer::new(self.directory, name.full());
        let Some(path) = path
            .as_ref()
            .map(PathBuffer::as_c_str)
            .filter(|p| exists(p))
        else {
            log::error!(
                "Checker '{}' not found in {}",
                Lossy(name.full()),
                Lossy(self.directory)
            );
            return None;
        };
        log::debug!("loading {} checker", Lossy(path));
        // SAFETY: the path is a C string. The plugin's constructors run now; the administrator who installs
        // a plugin guarantees that they may.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        let Some(handle) = NonNull::new(handle) else {
            report_error();
            return None;
        };
        // SAFETY: the handle is open, and by its name and directory the file is a plugin for this host.
        let entries = unsafe { find_entries(handle) };
        if entries.is_none() {
            report_error();
            close(handle, name);
        }
        // Optional functions that are missing have left an error, which is not reported.
        let _ = last_error();
        entries
    }
}

/// The functions of a plugin; `None` when a required one is missing.
///
/// # Safety
/// `handle` must be open, of an object in which the names have the types that libmultipath gives them.
unsafe fn find_entries(handle: NonNull<c_void>) -> Option<Entries> {
    /// # Safety
    /// As above; `F` must be the type of the function with this name.
    unsafe fn function<F: Copy>(handle: NonNull<c_void>, name: &CStr) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: the handle is open and the name a C string.
        let address = NonNull::new(unsafe { libc::dlsym(handle.as_ptr(), name.as_ptr()) })?;
        // SAFETY: the caller guarantees the type, and function pointers have the size of others.
        Some(unsafe { std::mem::transmute_copy(&address) })
    }
    // SAFETY: the caller guarantees the names and their types.
    unsafe {
        let check = function(handle, c"libcheck_check")?;
        let init = function(handle, c"libcheck_init")?;
        let free = function(handle, c"libcheck_free")?;
        Some(Entries {
            check,
            init,
            free,
            mp_init: function(handle, c"libcheck_mp_init"),
            reset: function(handle, c"libcheck_reset"),
            thread: function(handle, c"libcheck_thread"),
            pending: function(handle, c"libcheck_pending"),
            need_wait: function(handle, c"libcheck_need_wait"),
            texts: function(handle, c"libcheck_msgtable")
                .map_or(Texts::None, |first| Texts::of_plugin(first)),
            handle: Some(handle),
        })
    }
}

/// Closes a plugin's object.
pub(super) fn close(handle: NonNull<c_void>, name: &Name) {
    // SAFETY: the handle is open, and the registry closes an object after the last use of it.
    if unsafe { libc::dlclose(handle.as_ptr()) } != 0 {
        log::error!("Cannot unload checker {name}: {}", Lossy(last_error()));
    }
}

fn report_error() {
    log::error!(
        "A dynamic linking error occurred: ({})",
        Lossy(last_error())
    );
}

/// The dynamic linker's last error in this thread.
fn last_error() -> &'static CStr {
    // SAFETY: dlerror has no precondition.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return c"";
    }
    // SAFETY: the text is valid until this thread's next call of the dynamic linker, and every caller
    // has printed it by then.
    unsafe { CStr::from_ptr(text) }
}

fn exists(path: &CStr) -> bool {
    // SAFETY: the path is a C string.
    unsafe { libc::access(path.as_ptr(), libc::F_OK) == 0 }
}

/// The path of a plugin.
struct PathBuffer([u8; PATH]);

impl PathBuffer {
    /// Returns `None` when the path would be too long.
    fn new(directory: &CStr, name: &CStr) -> Option<PathBuffer> {
        let mut path = [0; PATH];
        let parts = [directory.to_bytes(), b"/libcheck", name.to_bytes(), b".so"];
        let mut bytes = parts.into_iter().flatten();
        // The last byte stays NUL.
        for place in path.iter_mut().take(PATH - 1) {
            let Some(byte) = bytes.next() else { break };
            *place = *byte;
        }
        bytes.next().is_none().then_some(PathBuffer(path))
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

/// Text of unknown encoding in a log line. What is not UTF-8 becomes a replacement character.
struct Lossy<'a>(&'a CStr);

impl fmt::Display for Lossy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.to_bytes().utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_str("\u{fffd}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_room_for_255_bytes() {
        let directory = c"/usr/lib/multipath";
        let path = PathBuffer::new(directory, c"tur").unwrap();
        assert_eq!(path.as_c_str(), c"/usr/lib/multipath/libchecktur.so");
        let around = "/usr/lib/multipath/libcheck.so".len();
        for (length, fits) in [(255 - around, true), (256 - around, false)] {
            let name = std::ffi::CString::new("x".repeat(length)).unwrap();
            let path = PathBuffer::new(directory, &name);
            assert_eq!(path.is_some(), fits, "{length}");
        }
    }

    #[test]
    fn other_bytes_are_replaced() {
        assert_eq!(Lossy(c"a\xffb").to_string(), "a\u{fffd}b");
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Where checkers come from: the table of the built-in ones, then a plugin's file.

use crate::entries::{BuiltIn, Entries, Texts};
use crate::object::{Lossy, Object, last_error, report_error};
use checkers_core::registry::{Loader, Name};
use std::ffi::CStr;

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
        // SAFETY: the administrator who installs a plugin guarantees that its constructors may run.
        let Some(object) = (unsafe { Object::open(path) }) else {
            report_error();
            return None;
        };
        // SAFETY: by its name and directory the file is a plugin for this host.
        let entries = unsafe { find_entries(object) };
        if entries.is_none() {
            report_error();
            // SAFETY: none of the functions that were found is kept.
            unsafe { object.close(name) };
        }
        // Optional functions that are missing have left an error, which is not reported.
        let _ = last_error();
        entries
    }
}

/// The functions of a plugin; `None` when a required one is missing.
///
/// # Safety
/// In the object, the names must have the types that libmultipath gives them.
unsafe fn find_entries(object: Object) -> Option<Entries> {
    // SAFETY: the caller guarantees the names and their types.
    unsafe {
        Some(Entries {
            check: object.symbol(c"libcheck_check")?,
            init: object.symbol(c"libcheck_init")?,
            free: object.symbol(c"libcheck_free")?,
            mp_init: object.symbol(c"libcheck_mp_init"),
            reset: object.symbol(c"libcheck_reset"),
            thread: object.symbol(c"libcheck_thread"),
            pending: object.symbol(c"libcheck_pending"),
            need_wait: object.symbol(c"libcheck_need_wait"),
            texts: object
                .symbol(c"libcheck_msgtable")
                .map_or(Texts::None, |first| Texts::of_plugin(first)),
            object: Some(object),
        })
    }
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
}

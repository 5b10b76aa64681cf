// SPDX-License-Identifier: LGPL-2.0-or-later

//! The name by which a class is selected.

#![forbid(unsafe_code)]

use crate::memory::OutOfMemory;
use std::ffi::CStr;
use std::fmt;

/// How many bytes of a name libmultipath shows, the NUL included (`CHECKER_NAME_LEN`).
const SHORT: usize = 16;

/// The name of a class, as the configuration file has it and as the host shows it.
///
/// Both are kept because they differ from 16 bytes on. The file name and the lookup use the full name.
/// Upstream looks up the shortened one, so it loads a long name anew for every path and may confuse two
/// names that begin alike.
pub struct Name {
    full: Vec<u8>,
    short: [u8; SHORT],
}

impl Name {
    /// A copy of `name`.
    ///
    /// # Errors
    /// Without memory for it.
    pub fn new(name: &CStr) -> Result<Name, OutOfMemory> {
        let bytes = name.to_bytes_with_nul();
        let mut full = Vec::new();
        full.try_reserve_exact(bytes.len())
            .map_err(|_| OutOfMemory)?;
        full.extend_from_slice(bytes);
        let mut short = [0; SHORT];
        for (place, byte) in short.iter_mut().take(SHORT - 1).zip(bytes) {
            *place = *byte;
        }
        Ok(Name { full, short })
    }

    /// The name in full.
    pub fn full(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.full).unwrap_or_default()
    }

    /// The first 15 bytes of the name.
    pub fn short(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.short).unwrap_or_default()
    }

    /// Whether it selects the class without a checker: `none` and whatever begins so.
    pub fn is_none(&self) -> bool {
        self.full.starts_with(b"none")
    }
}

/// The name as the host shows it.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.short().to_bytes().escape_ascii().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_shown_cut_and_kept_whole() {
        let name = Name::new(c"fifteen-bytes-and-more").unwrap();
        assert_eq!(name.short(), c"fifteen-bytes-a");
        assert_eq!(name.to_string(), "fifteen-bytes-a");
        assert_eq!(name.full(), c"fifteen-bytes-and-more");
        let name = Name::new(c"fifteen-bytes-a").unwrap();
        assert_eq!(name.short(), name.full());
    }

    #[test]
    fn whatever_begins_with_none_is_none() {
        for (name, none) in [
            (c"none", true),
            (c"nonesuch", true),
            (c"non", false),
            (c"tur", false),
            (c"", false),
        ] {
            assert_eq!(Name::new(name).unwrap().is_none(), none, "{name:?}");
        }
    }
}

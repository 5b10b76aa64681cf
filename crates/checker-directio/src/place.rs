// SPDX-License-Identifier: LGPL-2.0-or-later

//! The place of a path.

/// A group, and the index of a slot in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) group: u64,
    pub(crate) index: u16,
}

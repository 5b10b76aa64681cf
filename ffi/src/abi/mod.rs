// SPDX-License-Identifier: LGPL-2.0-or-later

//! The checker ABI, in the forms that releases of multipath-tools have given it.
//!
//! | module | subject |
//! |---|---|
//! | `version` | [`Abi`]: the ranges of releases with the same ABI, and what they understand |
//! | `detect` | which one a host has, by the symbols that it offers |
//! | `layout` | where the members of `struct checker` are |
//! | `checker` | reading and writing a host's `struct checker` |

mod checker;
mod detect;
mod layout;
mod version;

pub use checker::HostChecker;
pub(crate) use detect::{PROBES, detect};
pub use layout::Layout;
pub use version::Abi;

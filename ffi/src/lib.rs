// SPDX-License-Identifier: LGPL-2.0-or-later

//! The C side: the ABI of multipath-tools' path checkers.
//!
//! A *plugin* is a checker that libmultipath loads; [`export_checker!`] makes the functions that it looks
//! up. The library form, which is linked into libmultipath instead, is the crate `checkers-library`; it uses
//! the same functions.
//!
//! Nothing here decides a path's state. A host's call enters through one of the exported functions, passes
//! the [border](entry::enter), is translated from the host's [`struct checker`](abi::HostChecker) into a
//! typed [`Call`](checkers_core::Call), and goes to the checker; its verdict goes back the same way.
//!
//! | module | subject |
//! |---|---|
//! | [`abi`] | the forms of the ABI: their detection, and the layouts of `struct checker` |
//! | [`host`] | the program that has loaded the checkers: log, symbols, threads, forks |
//! | [`entry`] | the functions that the host calls |

pub mod abi;
pub mod entry;
pub mod host;

pub use abi::{Abi, Layout};
pub use entry::calls;
#[doc(hidden)]
pub use entry::{MessagePointer, message_table};
#[doc(hidden)]
pub use host::Reported;
#[doc(hidden)]
pub use host::fork::can_lock_shared;
#[doc(hidden)]
pub use host::fork::{ForkHandlers, ForkLocks, register as register_fork_handlers};

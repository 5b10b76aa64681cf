// SPDX-License-Identifier: LGPL-2.0-or-later

//! The program that has loaded the checkers, and what they need of it.
//!
//! | module | subject |
//! |---|---|
//! | `identity` | which host it is: detected once, or named by the program |
//! | `symbols` | looking up the host's functions and variables |
//! | `log` | log lines go to the host's `dlog` |
//! | `unknown` | the one line about a host that is not known |
//! | `plugins` | the plugin that was loaded first, for what is done once per process |
//! | `process` | what is set up once per process |
//! | `panic_hook` | the message of a panic, on standard error |
//! | `threads`, `attributes`, `locked_memory` | starting worker threads inside a daemon |
//! | `fork` | no child process is left with a lock that nothing releases |

mod attributes;
pub mod fork;
mod identity;
mod locked_memory;
pub(crate) mod log;
mod panic_hook;
mod plugins;
mod process;
mod symbols;
pub(crate) mod threads;
mod unknown;

pub(crate) use identity::{Host, assume, begin_instance, current, end_instance, find};
pub use identity::{IsSync, become_host};
pub use plugins::Reported;
pub use symbols::Symbols;

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The functions that a host calls.
//!
//! | module | subject |
//! |---|---|
//! | `export` | the macro that exports them under their C names |
//! | `calls` | what they do, written once for all checkers |
//! | `border`, `cancel` | panics and cancellation stop here |

mod border;
pub mod calls;
mod cancel;
mod export;

pub use border::enter;
pub use export::{MessagePointer, message_table};

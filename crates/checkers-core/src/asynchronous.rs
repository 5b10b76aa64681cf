// SPDX-License-Identifier: LGPL-2.0-or-later

//! How a blocking [`Probe`](crate::Probe) becomes a [`Checker`](crate::Checker) that never holds its host up.
//!
//! | file | subject |
//! |---|---|
//! | `protocol` | what a host gets from each call: [`Asynchronous`] |
//! | `run` | one run of a probe, shared by a path and a worker |
//! | `descriptor` | the descriptor that a run sends its commands to |
//! | `slot_cache` | slots of runs, used again and again |
//! | `pool` | the threads |
//! | `spin` | spinning for a moment before going to sleep |
//!
//! Every lock, atomic, thread and clock here comes from [`sync`](crate::sync), so that `scripts/model` explores
//! the schedules of these very files.

#![forbid(unsafe_code)]

mod descriptor;
pub mod pool;
mod protocol;
mod run;
mod slot_cache;
pub mod spin;

pub use protocol::Asynchronous;
pub use run::HeldSlots;
pub use slot_cache::{Held as HeldCache, SlotCache};

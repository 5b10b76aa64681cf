//! The core of multipath path checkers: what a checker is, what it may answer, and how the
//! blocking ones are made asynchronous.
//!
//! Nothing here knows about SCSI, AIO or C. A checker crate implements [`Checker`] directly when it
//! has its own asynchrony (directio), or is a probe that gets the protocol of
//! the asynchronous adapter for free.

#![forbid(unsafe_code)]

mod call;
mod checker;
pub mod memory;
mod message;
mod seconds;
mod state;
mod verdict;

pub use call::{Call, Delivery, MapMemory, Mode, Monotonic};
pub use checker::{Checker, InitError};
pub use message::{MessageId, MessageTable, resolve};
pub use seconds::Seconds;
pub use state::PathState;
pub use verdict::Verdict;

//! The core of multipath path checkers: what a checker is, what it may answer, and how the
//! blocking ones are made asynchronous.
//!
//! Nothing here knows about SCSI, AIO or C. A checker crate implements [`Checker`] directly when it
//! has its own asynchrony (directio), or implements [`Probe`] and gets the protocol of
//! [`Asynchronous`] for free. [`registry`] is the other side: the host that selects checkers by name.

#![forbid(unsafe_code)]

mod asynchronous;
mod call;
mod checker;
pub mod memory;
mod message;
mod messages;
mod probe;
pub mod registry;
mod scsi;
mod seconds;
mod state;
pub mod sync;
mod verdict;

pub use asynchronous::{Asynchronous, HeldCache, HeldSlots, SlotCache, pool, spin};
pub use call::{Call, Delivery, MapMemory, Mode};
pub use checker::{Checker, InitError, Initialized, Reported};
pub use kernel_fd::Monotonic;
pub use message::{MessageId, MessageTable, Text, locate, resolve};
pub use messages::Messages;
pub use probe::{LogRecord, NoLogRecord, Outcome, Probe, Task};
pub use scsi::{CheckContext, ScsiProbe, check_over, set_up_over};
pub use seconds::Seconds;
pub use state::PathState;
pub use verdict::Verdict;

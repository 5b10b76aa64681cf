// SPDX-License-Identifier: LGPL-2.0-or-later

//! The core of multipath path checkers: what a checker is, what it may report, and how the
//! blocking ones are made asynchronous.
//!
//! A checker crate implements [`ScsiProbe`] when it sends SCSI commands, [`Probe`] when it blocks otherwise, and
//! gets the protocol of [`Asynchronous`] for free. It implements [`Checker`] directly when it has its own
//! asynchrony (directio). [`registry`] is the other side: the host that selects checkers by name. Nothing here
//! knows about AIO or C.
//!
//! A host's round, with a probe that does not wait for anything:
//!
//! ```
//! use checkers_core::{
//!     Asynchronous, Call, Checker, Delivery, MapMemory, Messages, Mode, NoLogRecord, Outcome, PathState,
//!     Probe, Seconds, Task, Verdict,
//! };
//!
//! struct Healthy;
//!
//! impl Probe for Healthy {
//!     const NAME: &'static str = "healthy";
//!     const MESSAGES: Messages = Messages::COMMON;
//!     type Memory = ();
//!     type LogRecord = NoLogRecord;
//!     type LastReply = ();
//!
//!     fn probe(_task: &mut Task<'_, ()>) -> Outcome<Self> {
//!         Verdict::UP.into()
//!     }
//! }
//!
//! let call = Call {
//!     fd: -1,
//!     timeout: Seconds(30),
//!     mode: Mode::Async,
//!     delivery: Delivery::Pending,
//!     path_state: PathState::Unchecked,
//!     map: MapMemory::Absent,
//!     clock: kernel_fd::monotonic,
//! };
//! let mut path = Asynchronous::<Healthy>::init(&call).instance?;
//! let mut verdict = path.check(&call).verdict;
//! while verdict.state == PathState::Pending {
//!     verdict = path.pending(&call).verdict;
//! }
//! assert_eq!(verdict, Verdict::UP);
//! path.free(&call);
//! # Ok::<(), checkers_core::InitError>(())
//! ```

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

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The directio path checker: reads the first block of a device with `O_DIRECT`, by asynchronous I/O.
//!
//! [`Directio::check`](checkers_core::Checker::check) submits one read and returns "pending"; `pending`
//! polls for its completion. Neither waits. A read that is late makes the path DOWN but stays where it is: the
//! buffer belongs to the kernel until the completion arrives, and no second read is queued behind it.
//!
//! `io_submit` itself may wait: for room in the queue of a device that hangs, or for the whole read where the
//! file system does it no other way. So the read carries `RWF_NOWAIT`, and a read that the kernel refuses for
//! that reason is left to a worker.
//!
//! Calls go down this table, from a path to the kernel:
//!
//! | module | subject |
//! |---|---|
//! | `path` | one path: the decision which state it is in |
//! | `prepare` | what `init` finds out about a descriptor, and changes |
//! | `nowait` | whether a read is tried on the host's thread |
//! | `submit` | starting a read: on the host's thread, or by a worker |
//! | `deferred_submit` | submissions that may have to wait, made by workers |
//! | `wait` | waiting for a result, for callers that may |
//! | `groups` | all groups: the one that a new path joins, and the end of those without paths |
//! | `queue` | deferred submissions that no worker has begun |
//! | `group` | one AIO context and the paths that share it |
//! | `slots`, `read` | where the read of each path stands, and which side owns it |
//! | `destroy` | destroying contexts without waiting for their devices |
//! | `kernel` | what is used of the kernel; in the model checker, a model of it |
//! | `place` | a path's place: a group and a slot |
//! | `fork` | every lock of this crate, for a host that forks |

#![forbid(unsafe_code)]

mod deferred_submit;
mod destroy;
mod fork;
mod group;
mod groups;
mod kernel;
mod nowait;
mod path;
mod place;
mod prepare;
mod queue;
mod read;
mod slots;
mod submit;
mod wait;

pub use fork::{Held, hold_for_fork};
#[cfg(shuttle)]
pub use kernel::model;
pub use path::Directio;
pub use read::Failure;

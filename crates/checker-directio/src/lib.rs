//! The directio path checker: reads the first block of a device with O_DIRECT, by asynchronous I/O.
//!
//! [`Directio::check`](checkers_core::Checker::check) submits one read and returns "pending"; `pending`
//! polls for its completion. Neither waits. A read that
//! is late makes the path DOWN but stays where it is: the buffer belongs to the kernel until the
//! event arrives, and no second read is queued behind it.
//!
//! To submit a read can mean to wait as well: for room in the queue of a device that hangs, or for
//! the whole read where the file system does it no other way. So the kernel is told not to
//! (`RWF_NOWAIT`), and what it refuses for that is left to a worker.
//!
//! | module | subject |
//! |---|---|
//! | `directio` | one path: the decision which state it is in |
//! | `nowait` | whether the kernel is asked to submit a read without waiting |
//! | `group` | one AIO context and the up to 1024 requests that share it |
//! | `place` | where in its group a path's request is |
//! | `queue` | deferred submissions that no worker has begun |
//! | `groups` | all groups and the queue: which group a new path joins, when one goes |
//! | `deferred_submit` | submissions that may have to wait, made by workers |
//! | `waiting` | for callers that may wait |
//! | `destroy` | destroying contexts without waiting for their devices |
//! | `fork` | every lock of this crate, for a host that forks |

#![forbid(unsafe_code)]

mod deferred_submit;
mod destroy;
mod directio;
mod fork;
mod group;
mod groups;
mod nowait;
mod place;
mod queue;
mod waiting;

pub use directio::Directio;
pub use fork::{Held, hold_for_fork};
pub use group::Failure;

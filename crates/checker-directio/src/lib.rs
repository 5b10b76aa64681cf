//! The directio path checker: reads the first block of a device with O_DIRECT, by asynchronous I/O.
//!
//! The life of a check: [`Directio::check`](checkers_core::Checker::check) submits one read and
//! answers "pending"; `pending` looks whether its completion has arrived. Neither waits. A read that
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
//! | `group` | one AIO context and the up to 1024 requests that share it |
//! | `groups` | all groups: which one a new path joins, when one goes |
//! | `errand` | submissions that may have to wait, made by workers |
//! | `waiting` | for callers that may wait |
//! | `parting` | destroying contexts without waiting for their devices |

#![forbid(unsafe_code)]

mod directio;
mod errand;
mod group;
mod groups;
mod parting;
mod waiting;

pub use directio::Directio;
pub use group::Failure;

//! Linux native AIO, without libaio.
//!
//! [`Context`] is the safe face: reads are submitted with one system call each, completions come
//! out of the ring that the kernel keeps in user memory with none, and a buffer is never given back
//! while the kernel may write to it. Below it lie [`calls`], the five system calls, and
//! [`bindings`], the kernel's structures, made by bindgen and checked in.
//!
//! | module | subject |
//! |---|---|
//! | `bindings` | structures and constants of <linux/aio_abi.h> |
//! | `calls` | `io_setup`, `io_destroy`, `io_submit`, `io_cancel`, `io_getevents` |
//! | `ring` | completions in user memory |
//! | `requests` | what is in flight: its `slots`, and its buffers in the `arena` or a `mapping` |
//! | `context`, `submission`, `waiter` | what the user sees |

mod arena;
#[expect(
    missing_docs,
    non_camel_case_types,
    clippy::indexing_slicing,
    reason = "generated: C's names and constant expressions"
)]
pub mod bindings;
pub mod calls;
mod context;
mod mapping;
mod requests;
mod ring;
mod slots;
mod submission;
mod waiter;

pub use context::{Completion, Context, Lack, Memory, Remains, Trace};
pub use kernel_fd::Errno;
pub use submission::{Submission, Submitted};
pub use waiter::{Events, Waiter};

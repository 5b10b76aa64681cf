// SPDX-License-Identifier: LGPL-2.0-or-later

//! Linux native AIO, without libaio, for reads that must not block the caller.
//!
//! A [`Context`] submits each read with one system call. Completions come out of the ring that the kernel keeps
//! in user memory, without any. A buffer is never reused or unmapped while the kernel may write to it. The
//! crate finds out *whether* a block can be read, and how long that takes: the data itself is not returned.
//!
//! # A read with a time limit
//!
//! ```
//! use libaio_sys::{Context, Errno};
//! use std::{fs::File, os::fd::AsRawFd, time::Duration};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("image");
//! # File::create(&path)?.set_len(4096)?;
//! // A block device, usually, opened with O_DIRECT: for other files the kernel reads before it returns.
//! let file = File::open(path)?;
//! // Up to 8 reads at a time, which count against the sysctl fs.aio-max-nr.
//! let mut context = Context::new(8)?;
//! context.submit_read(file.as_raw_fd(), 4096, 17)?;
//!
//! let waiter = context.waiter();
//! let events = waiter.wait(Duration::from_secs(5))?;
//! if events.is_empty() {
//!     println!("no completion within five seconds: the read stays in flight");
//! }
//! context.accept(events, |completion| {
//!     assert_eq!(completion.token, 17);
//!     match u32::try_from(-completion.res) {
//!         Ok(errno) if errno > 0 => println!("failed: {}", Errno(errno as i32)),
//!         _ => println!("read {} bytes", completion.res),
//!     }
//! });
//! context.release(waiter);
//! # assert_eq!(context.in_flight(), 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Polling, without a system call
//!
//! ```
//! # use libaio_sys::Context;
//! # use std::{fs::File, os::fd::AsRawFd, time::Duration};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("image");
//! # File::create(&path)?.set_len(4096)?;
//! # let file = File::open(path)?;
//! let mut context = Context::new(8)?;
//! for token in 0..3 {
//!     context.submit_read(file.as_raw_fd(), 4096, token)?;
//! }
//! let mut sizes = [0; 3];
//! while context.in_flight() > 0 {
//!     context.reap(|completion| sizes[completion.token as usize] = completion.res)?;
//!     std::thread::sleep(Duration::from_millis(1));
//! }
//! assert_eq!(sizes, [4096; 3]);
//! # Ok(())
//! # }
//! ```
//!
//! # Submitting without waiting for the device
//!
//! `io_submit` itself sleeps while a device's queue is full. [`Submission::submit_nowait`] rules that out, where
//! the kernel can:
//!
//! ```
//! # use libaio_sys::{Context, Errno};
//! # use std::{fs::File, os::fd::AsRawFd};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("image");
//! # File::create(&path)?.set_len(4096)?;
//! # let file = File::open(path)?;
//! let mut context = Context::new(8)?;
//! if let Some(missing) = context.missing(4096)? {
//!     context.supply(missing.map()?);
//! }
//! // A lock on the context, if there is one, need not be held between these two lines.
//! let submitted = context.begin_read(4096, 1)?.submit_nowait(file.as_raw_fd());
//! match context.settle(submitted) {
//!     Ok(()) => println!("in flight; a completion with -EAGAIN means: it would have had to wait"),
//!     Err(Errno(libc::EOPNOTSUPP)) => println!("this file cannot tell"),
//!     Err(errno) => println!("refused: {errno}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//!
//! [`calls`] are the five system calls, and [`bindings`] the kernel's structures, made by bindgen and checked
//! in. Unsafe code is in four files only: `calls`, `ring`, `mapping` and `submission`.
//!
//! | module | subject |
//! |---|---|
//! | `bindings` | structures and constants of <linux/aio_abi.h> |
//! | `calls` | `io_setup`, `io_destroy`, `io_submit`, `io_cancel`, `io_getevents` |
//! | `ring` | a context of the kernel, and its completions in user memory |
//! | `requests` | what is in flight: its `slots`, and its buffers in the `arena` or a `mapping` |
//! | `context`, `submission`, `waiter`, `memory`, `quota` | the interface |
//! | `identity` | which context something belongs to |

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
mod identity;
mod mapping;
mod memory;
mod quota;
mod requests;
mod ring;
mod slots;
mod submission;
mod waiter;

pub use context::{Completion, Context, Remains};
pub use kernel_fd::Errno;
pub use memory::{Memory, Missing};
pub use quota::Quota;
pub use submission::{Submission, Submitted};
pub use waiter::{Events, Waiter};

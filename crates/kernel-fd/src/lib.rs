//! What the kernel says about an open file descriptor, its monotonic clock, and whether this is still the
//! same process.
//!
//! A path checker gets a descriptor *number* from its host. The number may be closed, -1 or belong
//! to something odd; the kernel then answers with an errno and nothing worse happens, so every
//! function here is safe and takes a [`RawFd`](std::os::fd::RawFd).
//!
//! The kernel is asked through the C library's ordinary symbols (`fstat`, `fcntl`, `ioctl`,
//! `clock_gettime`): a test that interposes them sees every question.

mod block;
mod clock;
mod duplicate;
mod errno;
mod flags;
pub mod fork;
mod limit;
mod release;
mod stat;
mod stderr;
mod strerror;
mod terminal;

pub use block::{logical_block_size, soft_block_size};
pub use clock::{Monotonic, monotonic};
pub use duplicate::duplicate;
pub use errno::Errno;
pub use flags::{set_status_flags, status_flags};
pub use limit::raise_descriptor_limit;
pub use release::{KernelRelease, kernel_release};
pub use stat::{FileKind, Stat, stat};
pub use stderr::{Stderr, write_to_stderr};
pub use strerror::Strerror;
pub use terminal::terminal_size;

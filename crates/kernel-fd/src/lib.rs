// SPDX-License-Identifier: LGPL-2.0-or-later

//! What the kernel says about an open file descriptor, its monotonic clock, and whether this is still the
//! same process.
//!
//! The host of a path checker passes a descriptor *number*. It may be closed, -1, or refer to something
//! unexpected; the kernel then returns an errno. So every function here is safe and takes a
//! [`RawFd`](std::os::fd::RawFd). None of them allocates.
//!
//! The system calls are made by `nix`, or by the standard library, through the C library's ordinary symbols
//! (`fstat`, `fcntl`, `ioctl`, `clock_gettime`): a test that interposes those symbols sees every call.
//! Unsafe code remains in four files, each for something that neither offers:
//!
//! | module | why it needs unsafe code |
//! |---|---|
//! | `borrow` | lends a number to `nix`, which takes descriptors known to be open |
//! | `ioctl` | passes pointers to ioctls |
//! | `fork` | registers a fork handler |
//! | `strerror` | the C library's text of an errno, without allocating |

mod borrow;
mod clock;
mod duplicate;
mod errno;
mod flags;
pub mod fork;
mod ioctl;
mod limit;
mod release;
mod stat;
mod stderr;
mod strerror;

pub use clock::{Monotonic, monotonic};
pub use duplicate::duplicate;
pub use errno::Errno;
pub use flags::{set_status_flags, status_flags};
pub use ioctl::{logical_block_size, soft_block_size, terminal_size};
pub use limit::raise_descriptor_limit;
pub use release::{KernelRelease, kernel_release};
pub use stat::{FileKind, Stat, stat};
pub use stderr::{Stderr, write_to_stderr};
pub use strerror::Strerror;

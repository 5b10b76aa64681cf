// SPDX-License-Identifier: LGPL-2.0-or-later

//! What the checker uses of the kernel; under `cfg(shuttle)` a model of it.

#[cfg(not(shuttle))]
mod real {
    pub(crate) use kernel_fd::{
        duplicate, logical_block_size, set_status_flags, soft_block_size, stat, status_flags,
    };
    pub(crate) use libaio_sys::{
        Completion, Context, Events, Memory, Missing, Quota, Remains, Submission, Submitted, Waiter,
    };
    pub(crate) use std::os::fd::OwnedFd;
}

#[cfg(not(shuttle))]
pub(crate) use real::*;

#[cfg(shuttle)]
pub mod model;

#[cfg(shuttle)]
pub(crate) use model::{
    Completion, Context, Events, Memory, Missing, OwnedFd, Quota, Remains, Submission, Submitted,
    Waiter, duplicate, logical_block_size, set_status_flags, soft_block_size, stat, status_flags,
};

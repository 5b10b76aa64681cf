// SPDX-License-Identifier: LGPL-2.0-or-later

//! What every compatibility suite needs.
//!
//! | module | subject |
//! |---|---|
//! | [`abi`], [`state`], [`side`] | releases by their ABI, path states, upstream's plugin and ours |
//! | [`plugin`], [`async_plugin`] | plugins: loaded, searched and called as hosts do |
//! | [`checker_struct`] | `struct checker` of each ABI, in guarded memory |
//! | [`host`], `exports` | what libmultipath offers to plugins, and how an executable exports it |
//! | [`interpose`] | functions of the C library that hosts replace: refusals and counts |
//! | [`scsi`] | SCSI devices behind `ioctl` |
//! | [`devices`] | loop devices, file systems, files that hang |
//! | [`aio_faults`], [`aio_rings`], [`threads`] | AIO calls that fail, completions, threads at rest |
//! | [`process`], [`surroundings`], [`ipc`] | test host processes and the messages exchanged with them |
//! | [`ledger`] | the deliberate differences |
//! | [`summary`], [`output`] | what passed, failed and did not run |

pub mod abi;
pub mod aio_faults;
pub mod aio_rings;
pub mod async_plugin;
pub mod checker_struct;
pub mod devices;
mod exports;
pub mod host;
pub mod interpose;
pub mod ipc;
pub mod ledger;
pub mod output;
pub mod plugin;
pub mod process;
pub mod scsi;
pub mod side;
pub mod state;
pub mod summary;
pub mod surroundings;
pub mod threads;
mod trouble;

pub use trouble::{Doing, Result, Trouble, os};

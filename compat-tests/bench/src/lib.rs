// SPDX-License-Identifier: LGPL-2.0-or-later

//! What a call into a path checker costs and how long it takes, for upstream's plugins and ours.
//!
//! A *host* is a process that exports what `libmultipath` of one ABI exports, loads one plugin, opens
//! paths and does what it reads from its standard input ([`protocol`], [`host`]). Programs that run
//! hosts use [`driver`]: `bench`, which prints what a check costs, and `endure`, which lets devices
//! hang, fail and return.

pub mod devices;
pub mod driver;
pub mod host;
pub mod lower_bound;
pub mod paths;
pub mod protocol;
pub mod random;
pub mod release;
pub mod rounds;
pub mod stopwatch;
pub mod threads;
pub mod usage;

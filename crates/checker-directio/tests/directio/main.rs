// SPDX-License-Identifier: LGPL-2.0-or-later

//! The checker on pipes, files and devices of this machine.
//!
//! Tests that need root, FUSE or loop devices are ignored by default, so that they are counted as not run; as
//! root, run them with `--include-ignored`. Those that change or count what a process has run in one of their
//! own ([`support::alone`]).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod blocking;
mod calls;
mod fork;
mod no_descriptor;
mod no_destroyer;
mod no_memory;
mod no_thread;
mod refused;
mod reset;
mod stalled;
mod starved;
mod stopped;
mod support;

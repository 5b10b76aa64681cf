// SPDX-License-Identifier: LGPL-2.0-or-later

//! Explores the schedules of the asynchronous core and of directio with shuttle; `scripts/model` builds and runs it.
//!
//! A *scene* is a small program over the real code: several hosts, devices that hang, spawns that fail. A
//! scheduler runs it many times, each time with other interleavings, timeouts, spurious wake-ups and failures.
//! A *broken variant* is a fault in the code that is switched on by name
//! (`checkers_core::sync::broken`): the scenes must find each.

#![forbid(unsafe_code)]

#[cfg(shuttle)]
mod explore;
#[cfg(shuttle)]
mod scenes;
#[cfg(shuttle)]
mod schedule;

#[cfg(shuttle)]
fn main() -> std::process::ExitCode {
    explore::main()
}

#[cfg(not(shuttle))]
fn main() -> std::process::ExitCode {
    eprintln!("built without --cfg shuttle: use scripts/model");
    std::process::ExitCode::from(2)
}

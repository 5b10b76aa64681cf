// SPDX-License-Identifier: LGPL-2.0-or-later

//! Differential tests of the directio checker.
//!
//! Three kinds of processes take part. The [runner] (`compat-directio`) owns the devices
//! ([`harness::devices`]) and [compares](compare). For every scenario and side it starts a test
//! [host], which exports what `libmultipath` of one ABI exports, loads one plugin and runs one
//! [scenario](scenarios) through a [`driver`]. The two exchange [messages](message) over a socket: a
//! plugin that crashes or hangs takes no device with it.

mod calls;
mod compare;
mod devices;
mod driver;
mod during;
mod handles;
pub mod host;
mod message;
mod observation;
mod report;
mod run_host;
mod runner;
mod scenarios;
mod seen;
pub mod suite;
mod tasks;

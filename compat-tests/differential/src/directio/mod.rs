//! Differential tests of the directio checker.
//!
//! Three kinds of processes take part. The *runner* (`compat-directio`) owns the devices
//! ([`harness::devices`]) and compares. For every scenario and side it starts a *test host* (`host-b`,
//! `host-c`, …), which exports what `libmultipath` of one ABI exports, loads one plugin and runs one
//! scenario ([`session`], [`scenarios`]). The two communicate over a socket ([`wire`]): a plugin that
//! crashes or hangs takes no device with it.

pub mod compare;
pub mod host;

pub mod runner;
pub mod scenarios;
pub mod session;
pub mod wire;

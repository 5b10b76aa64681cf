// SPDX-License-Identifier: LGPL-2.0-or-later

//! The scenarios: what is done to a plugin, in which order, on which device.
#![forbid(unsafe_code)]

use super::driver::Driver;
use super::handles::Gate;
use super::handles::Id;
use super::run_host::Host;
use harness::{Result, Trouble};
use std::os::fd::RawFd;

/// Makes a list of scenarios: `WHERE "name" "about" => function;`.
macro_rules! scenarios {
    ($($on:ident $(($hosts:expr))? $name:literal $about:literal => $run:expr;)*) => {
        &[$(Scenario { name: $name, about: $about, on: On::$on $(($hosts))?, run: $run },)*]
    };
}

mod beside;
mod descriptors;
mod devices;
mod errors;
mod groups;
mod hang;
mod hosts;
mod later;
mod later_groups;
mod random;
mod reset;
mod sync;

/// What the scenarios use.
mod prelude {
    pub(super) use super::{
        On, Scenario, crowd, held, held_device, held_device_instance, held_instance,
    };
    pub(super) use crate::directio::devices::{DATA, EIO, flags_of};
    pub(super) use crate::directio::driver::Driver;
    pub(super) use crate::directio::handles::{Gate, Id};
    pub(super) use crate::directio::observation::{Flags, Log, Observation, Returned};
    pub(super) use crate::directio::run_host::Host;
    pub(super) use crate::directio::seen::Seen;
    pub(super) use harness::abi::Abi;
    pub(super) use harness::devices::hanging::Answer;
    pub(super) use harness::devices::loops::Shape;
    pub(super) use harness::devices::request::FileSystem;
    pub(super) use harness::process::HostKind;
    pub(super) use harness::state::State;
    pub(super) use harness::{Doing, Result, Trouble, host};
    pub(super) use nix::fcntl::OFlag;
    pub(super) use nix::sys::resource::{UsageWho, getrusage};
    pub(super) use nix::unistd::pipe2;
    pub(super) use std::fs::File;
    pub(super) use std::io::Write;
    pub(super) use std::os::fd::{IntoRawFd, RawFd};
    pub(super) use std::path::Path;
    pub(super) use std::thread::sleep;
    pub(super) use std::time::Duration;

    pub(super) const UP: State = State::UP;
    pub(super) const DOWN: State = State::DOWN;
    pub(super) const PENDING: State = State::PENDING;

    pub(super) const OLD: Host = Host::Of(HostKind::V0_7_9);
    pub(super) const V0_8_6: Host = Host::Of(HostKind::V0_8_6);
    pub(super) const V0_11: Host = Host::Of(HostKind::V0_11);
    pub(super) const V0_14: Host = Host::Of(HostKind::V0_14);
    pub(super) const V0_15: Host = Host::Of(HostKind::V0_15);
}

/// Where a scenario runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum On {
    /// With both plugins in a host of ABI 0.7.9, compared step by step.
    Both,
    /// The same, but alone: it changes a setting of the whole machine.
    BothApart,
    /// With ours alone, in these hosts, against expectations.
    Ours(&'static [Host]),
    /// The same; and with both plugins, when upstream's is made for one of these hosts.
    Later(&'static [Host]),
}

/// One scenario.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it is about.
    pub(crate) about: &'static str,
    /// Where it runs.
    pub(crate) on: On,
    /// What it does.
    pub(crate) run: fn(&mut Driver) -> Result<()>,
}

impl Scenario {
    /// Whether nothing else may run beside it.
    pub(crate) fn is_apart(&self) -> bool {
        matches!(self.on, On::BothApart)
    }
}

/// All scenarios, in the order in which they run.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        devices::SCENARIOS,
        descriptors::SCENARIOS,
        hang::SCENARIOS,
        sync::SCENARIOS,
        beside::SCENARIOS,
        groups::SCENARIOS,
        reset::SCENARIOS,
        errors::SCENARIOS,
        random::SCENARIOS,
        hosts::SCENARIOS,
        later::SCENARIOS,
        later_groups::SCENARIOS,
    ]
    .into_iter()
    .flatten()
}

/// The scenario of this name.
pub(crate) fn find(name: &str) -> Result<&'static Scenario> {
    let missing = || Trouble::Broken(format!("no scenario {name}"));
    all()
        .find(|scenario| scenario.name == name)
        .ok_or_else(missing)
}

/// A file that hangs and a descriptor of it.
fn held(d: &mut Driver, number: u64) -> Result<(Gate, RawFd)> {
    let (gate, path) = d.gate(number)?;
    d.hold(gate)?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    Ok((gate, fd))
}

/// A file that hangs with one instance on it.
fn held_instance(d: &mut Driver, number: u64, timeout: u32) -> Result<(Gate, Id)> {
    let (gate, fd) = held(d, number)?;
    let id = d.started(fd, timeout)?;
    Ok((gate, id))
}

/// A block device that hangs and a descriptor of it: for scenarios that count system calls, as a file
/// of FUSE does not take `RWF_NOWAIT` and makes ours ask twice.
fn held_device(d: &mut Driver, number: u64) -> Result<(Gate, RawFd)> {
    let (gate, path) = d.gate_device(number, 512)?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    d.hold(gate)?;
    Ok((gate, fd))
}

/// A block device that hangs with one instance on it.
fn held_device_instance(d: &mut Driver, number: u64, timeout: u32) -> Result<(Gate, Id)> {
    let (gate, fd) = held_device(d, number)?;
    let id = d.started(fd, timeout)?;
    Ok((gate, id))
}

/// Instances with a descriptor each on one file that hangs, all of them with a read in flight.
fn crowd(d: &mut Driver, gate: u64, count: usize, timeout: u32) -> Result<(Gate, Vec<Id>)> {
    let (gate, path) = d.gate(gate)?;
    d.hold(gate)?;
    let mut ids = Vec::new();
    d.count(&format!("{count} instances, checked once"), |d| {
        for _ in 0..count {
            let fd = d.open(&path, libc::O_RDONLY)?;
            let id = d.started(fd, timeout)?;
            d.check(id)?;
            ids.push(id);
        }
        Ok(())
    })?;
    Ok((gate, ids))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<&str> = all().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), all().count());
    }
}

//! The scenarios: what is done to a plugin, in which order, on which device.

mod descriptors;
mod devices;
mod errors;
mod groups;
mod hang;
mod hosts;
mod later;
mod reset;
mod walk;

use crate::directio::host::Host;
use crate::directio::session::{Gate, Id, Session};
use harness::{Result, Trouble};
use std::os::fd::RawFd;

/// Where a scenario is played.
#[derive(Clone, Copy, Debug)]
pub enum On {
    /// With both plugins in a host of ABI 0.7.9, step by step compared.
    Both,
    /// With ours alone, in these hosts, against expectations.
    Ours(&'static [Host]),
    /// The same; and with both plugins, when there is a C plugin for one of these hosts.
    Later(&'static [Host]),
}

/// One scenario.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Where it is played.
    pub on: On,
    /// Whether nothing else may run beside it: it changes a setting of the whole machine.
    pub exclusive: bool,
    /// What it does.
    pub play: fn(&mut Session) -> Result<()>,
}

impl Scenario {
    const fn both(
        name: &'static str,
        about: &'static str,
        play: fn(&mut Session) -> Result<()>,
    ) -> Scenario {
        Scenario {
            name,
            about,
            on: On::Both,
            exclusive: false,
            play,
        }
    }

    const fn ours(
        name: &'static str,
        about: &'static str,
        hosts: &'static [Host],
        play: fn(&mut Session) -> Result<()>,
    ) -> Scenario {
        Scenario {
            name,
            about,
            on: On::Ours(hosts),
            exclusive: false,
            play,
        }
    }

    const fn later(
        name: &'static str,
        about: &'static str,
        hosts: &'static [Host],
        play: fn(&mut Session) -> Result<()>,
    ) -> Scenario {
        Scenario {
            name,
            about,
            on: On::Later(hosts),
            exclusive: false,
            play,
        }
    }

    const fn exclusive(self) -> Scenario {
        Scenario {
            exclusive: true,
            ..self
        }
    }
}

/// All scenarios, in the order in which they run.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        devices::SCENARIOS,
        descriptors::SCENARIOS,
        hang::SCENARIOS,
        groups::SCENARIOS,
        reset::SCENARIOS,
        errors::SCENARIOS,
        walk::SCENARIOS,
        hosts::SCENARIOS,
        later::SCENARIOS,
    ]
    .into_iter()
    .flatten()
}

/// The scenario of this name.
///
/// # Errors
/// When there is none.
pub fn find(name: &str) -> Result<&'static Scenario> {
    all()
        .find(|scenario| scenario.name == name)
        .ok_or_else(|| Trouble::Broken(format!("no scenario {name}")))
}

/// A held file that hangs and a descriptor of it.
fn held(h: &mut Session, number: u64) -> Result<(Gate, RawFd)> {
    let (gate, path) = h.gate(number)?;
    h.hold(gate)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    Ok((gate, fd))
}

/// A held file with one instance on it.
fn held_instance(h: &mut Session, number: u64, timeout: u32) -> Result<(Gate, Id)> {
    let (gate, fd) = held(h, number)?;
    let id = h.started(fd, timeout)?;
    Ok((gate, id))
}

/// A held block device that hangs and a descriptor of it. For those who count system calls: a file
/// of FUSE does not take `RWF_NOWAIT`, so ours asks twice.
fn held_device(h: &mut Session, number: u64) -> Result<(Gate, RawFd)> {
    let (gate, path) = h.gate_device(number, 512)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    h.hold(gate)?;
    Ok((gate, fd))
}

/// A held block device with one instance on it.
fn held_device_instance(h: &mut Session, number: u64, timeout: u32) -> Result<(Gate, Id)> {
    let (gate, fd) = held_device(h, number)?;
    let id = h.started(fd, timeout)?;
    Ok((gate, id))
}

/// Instances with a descriptor each on one file that hangs, all of them with a read in flight.
fn crowd(h: &mut Session, gate: u64, count: usize, timeout: u32) -> Result<(Gate, Vec<Id>)> {
    let (gate, path) = h.gate(gate)?;
    h.hold(gate)?;
    let mut ids = Vec::new();
    h.bulk(&format!("{count} instances, checked once"), |h| {
        for _ in 0..count {
            let fd = h.open(&path, libc::O_RDONLY)?;
            let id = h.started(fd, timeout)?;
            h.check(id)?;
            ids.push(id);
        }
        Ok(())
    })?;
    Ok((gate, ids))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = all().map(|scenario| scenario.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The plugins and lower bounds that are measured against each other.

#![forbid(unsafe_code)]

use crate::case::{Case, Device};
use bench::driver::{self, Host};
use bench::protocol::{FAKE_SCSI, Request};
use bench::release::Release;
use harness::abi::Abi;
use harness::{Result, Trouble};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Whose number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contender {
    /// Upstream's plugin, in a host of its ABI.
    Upstream(Abi),
    /// Our plugin, in a host of this ABI.
    Ours(Abi),
    /// One bare system call per check: `io_submit`, or the device's `ioctl`, inline.
    LowerBound,
    /// As few `io_submit` calls as possible.
    Batched,
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contender::Upstream(abi) => write!(f, "upstream {}", abi),
            Contender::Ours(abi) => write!(f, "ours {}", abi),
            Contender::LowerBound => f.write_str("lower bound"),
            Contender::Batched => f.write_str("batched"),
        }
    }
}

impl FromStr for Contender {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Contender, String> {
        match text.split_once(' ') {
            None if text == "batched" => Ok(Contender::Batched),
            Some(("lower", "bound")) => Ok(Contender::LowerBound),
            Some(("upstream", abi)) => Ok(Contender::Upstream(parse_abi(abi)?)),
            Some(("ours", abi)) => Ok(Contender::Ours(parse_abi(abi)?)),
            _ => Err(format!("{text:?} is no contender")),
        }
    }
}

/// The ABI of that name.
pub(crate) fn parse_abi(text: &str) -> std::result::Result<Abi, String> {
    text.parse().map_err(|trouble: Trouble| trouble.to_string())
}

/// The ABIs of the hosts in which our plugins are measured.
pub(crate) const ABIS: [Abi; 3] = [Abi::V0_7_9, Abi::V0_11, Abi::V0_15];

/// A contender that can be started.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) contender: Contender,
    plugin: Option<PathBuf>,
}

impl Entry {
    /// A host with the paths open and their checkers made.
    pub(crate) fn start(&self, case: &Case, files: &[PathBuf], wrapper: &[&str]) -> Result<Host> {
        let mut host = self.open(case, files, wrapper)?;
        match (self.contender, case.device) {
            (Contender::Upstream(_) | Contender::Ours(_), _) => {
                let _: Duration = host.ask(&Request::InitAll)?;
            }
            (Contender::Batched, _) => host.ask(&Request::BareReads { batch: 1024 })?,
            (Contender::LowerBound, Device::Loop) => host.ask(&Request::BareReads { batch: 1 })?,
            (Contender::LowerBound, Device::Scsi { .. }) => host.ask(&Request::BareCommands)?,
        }
        Ok(host)
    }

    /// A host with the paths open.
    pub(crate) fn open(&self, case: &Case, files: &[PathBuf], wrapper: &[&str]) -> Result<Host> {
        let (abi, upstream) = match self.contender {
            Contender::Upstream(abi) => (abi, self.plugin.as_deref()),
            Contender::Ours(abi) => (abi, None),
            Contender::LowerBound | Contender::Batched => (Abi::V0_11, None),
        };
        let mut host = Host::start(driver::command(abi, upstream, wrapper)?)?;
        let files = match case.device {
            Device::Loop => files.to_vec(),
            Device::Scsi { .. } => vec![FAKE_SCSI.into()],
        };
        let () = host.ask(&Request::Open {
            paths: case.paths,
            files,
        })?;
        if let Device::Scsi { micros } = case.device {
            let () = host.ask(&Request::Latency(Duration::from_micros(micros.into())))?;
        }
        if let Some(plugin) = &self.plugin {
            let () = host.ask(&Request::Load(plugin.clone()))?;
        }
        Ok(host)
    }
}

/// The plugins of a checker.
pub(crate) fn plugins(upstream: &[Release], ours: &Release, checker: &str) -> Vec<Entry> {
    let releases = upstream.iter();
    let mut entries: Vec<Entry> = releases
        .filter_map(|release| release.plugin(checker))
        .map(|(plugin, abi)| Entry {
            contender: Contender::Upstream(abi),
            plugin: Some(plugin),
        })
        .collect();
    let plugin = ours.file(checker);
    if plugin.exists() {
        entries.extend(ABIS.map(|abi| Entry {
            contender: Contender::Ours(abi),
            plugin: Some(plugin.clone()),
        }));
    }
    entries
}

/// The lower bounds of a checker.
pub(crate) fn lower_bounds(checker: &str) -> Vec<Entry> {
    let bounds: &[Contender] = match Device::of(checker) {
        Device::Loop => &[Contender::LowerBound, Contender::Batched],
        Device::Scsi { .. } => &[Contender::LowerBound],
    };
    let entry = |contender: &Contender| Entry {
        contender: *contender,
        plugin: None,
    };
    bounds.iter().map(entry).collect()
}

/// The contenders of which there is no plugin among `entries`.
pub(crate) fn missing(entries: &[Entry]) -> Vec<Contender> {
    let upstream = ABIS.map(Contender::Upstream);
    let wanted = upstream.into_iter().chain([Contender::Ours(Abi::V0_11)]);
    wanted
        .filter(|wanted| entries.iter().all(|entry| entry.contender != *wanted))
        .collect()
}

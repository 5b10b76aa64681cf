//! Who is measured.

use crate::case::{Case, Device};
use crate::options::Options;
use bench::driver::{self, Host};
use harness::Result;
use harness::abi::Abi;
use std::fmt;
use std::path::PathBuf;

/// Whose figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// A C plugin, in a host of its ABI.
    C(Abi),
    /// One bare system call per check: `io_submit`, or the device's `ioctl` inline.
    Floor,
    /// As few `io_submit` calls as possible.
    Batched,
    /// Our plugin, in a host of that ABI.
    Ours(Abi),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::C(abi) => write!(f, "C ({abi})"),
            Who::Floor => f.write_str("floor"),
            Who::Batched => f.write_str("batched"),
            Who::Ours(abi) => write!(f, "ours ({abi})"),
        }
    }
}

/// One contender, ready to be started.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    pub(crate) who: Who,
    plugin: Option<PathBuf>,
}

impl Side {
    /// A host with the paths open and their checkers made.
    pub(crate) fn start(&self, case: &Case, files: &str, wrapper: &[&str]) -> Result<Host> {
        let mut host = self.open(case, files, wrapper)?;
        self.init(case, &mut host)?;
        Ok(host)
    }

    /// A host with the paths open.
    pub(crate) fn open(&self, case: &Case, files: &str, wrapper: &[&str]) -> Result<Host> {
        let abi = match self.who {
            Who::C(abi) | Who::Ours(abi) => abi,
            Who::Floor | Who::Batched => Abi::V0_11,
        };
        let c_plugin = match self.who {
            Who::C(_) => self.plugin.as_deref(),
            _ => None,
        };
        let mut host = Host::start(driver::command(abi, c_plugin, wrapper)?)?;
        host.tell(&format!("open {} {files}", case.paths))?;
        if let Device::Scsi { micros } = case.device {
            host.tell(&format!("latency {micros}"))?;
        }
        if let Some(plugin) = &self.plugin {
            host.tell(&format!("load {}", plugin.display()))?;
        }
        Ok(host)
    }

    /// Makes the checkers, or what stands for them.
    pub(crate) fn init(&self, case: &Case, host: &mut Host) -> Result<()> {
        host.tell(match (self.who, case.device) {
            (Who::C(_) | Who::Ours(_), _) => "init",
            (Who::Batched, _) => "floor 1024",
            (Who::Floor, Device::Loop) => "floor 1",
            (Who::Floor, Device::Scsi { .. }) => "inline",
        })?;
        Ok(())
    }
}

/// Everybody who can take part for a checker.
pub(crate) fn sides(options: &Options, checker: &str) -> Vec<Side> {
    let mut sides = contenders(options, checker);
    let floors: &[Who] = match Device::of(checker) {
        Device::Loop => &[Who::Floor, Who::Batched],
        Device::Scsi { .. } => &[Who::Floor],
    };
    sides.extend(floors.iter().map(|who| Side {
        who: *who,
        plugin: None,
    }));
    sides
}

/// The plugins among them.
pub(crate) fn contenders(options: &Options, checker: &str) -> Vec<Side> {
    let releases = options.c.iter();
    let mut sides: Vec<Side> = releases
        .filter_map(|release| release.plugin(checker))
        .map(|(plugin, abi)| Side {
            who: Who::C(abi),
            plugin: Some(plugin),
        })
        .collect();
    let plugin = options.ours.join(format!("libcheck{checker}.so"));
    if plugin.exists() {
        sides.extend([Abi::V0_7_9, Abi::V0_11, Abi::V0_15].map(|abi| Side {
            who: Who::Ours(abi),
            plugin: Some(plugin.clone()),
        }));
    }
    sides
}

/// The plugins that cannot.
pub(crate) fn missing(options: &Options, checker: &str) -> Vec<String> {
    let present: Vec<Who> = contenders(options, checker)
        .iter()
        .map(|side| side.who)
        .collect();
    [
        Who::C(Abi::V0_7_9),
        Who::C(Abi::V0_11),
        Who::C(Abi::V0_15),
        Who::Ours(Abi::V0_11),
    ]
    .into_iter()
    .filter(|who| !present.contains(who))
    .map(|who| format!("{checker}: {who}: no such plugin here"))
    .collect()
}

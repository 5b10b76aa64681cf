// SPDX-License-Identifier: LGPL-2.0-or-later

//! The role `directio` of a test host: loads one plugin and runs one scenario, for the runner behind
//! its standard input.
#![forbid(unsafe_code)]

use super::driver::Driver;
use super::message::Start;
use super::scenarios;
use harness::abi::Abi;
use harness::ipc::Channel;
use harness::plugin::Plugin;
use harness::process::HostKind;
use harness::{Doing, Result, Trouble, plugin};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fmt;
use std::process::ExitCode;

/// A host in which a scenario runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// One that is linked to libmultipath.
    Of(HostKind),
    /// One that exports nothing and states its ABI through `libcheck_assume_abi`.
    Assuming(Abi),
    /// One that exports nothing and states nothing, but has loaded libmultipath 0.9.4 for itself
    /// alone.
    Hidden,
    /// One that exports nothing and states nothing.
    Unknown,
}

impl Host {
    /// The executable.
    pub(crate) fn kind(self) -> HostKind {
        match self {
            Host::Of(kind) => kind,
            Host::Assuming(_) | Host::Hidden | Host::Unknown => HostKind::WithoutLibmultipath,
        }
    }

    /// The ABI by which the host calls plugins.
    pub(crate) fn abi(self) -> Abi {
        match self {
            Host::Assuming(abi) => abi,
            Host::Hidden | Host::Unknown => Abi::V0_7_9,
            Host::Of(kind) => kind.abi(),
        }
    }

    /// Whether the host has loaded libmultipath, and if so, whether plugins see its symbols.
    pub(crate) fn libmultipath_is_global(self) -> Option<bool> {
        match self {
            Host::Of(HostKind::V0_8_6) => Some(true),
            Host::Hidden => Some(false),
            _ => None,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Of(HostKind::V0_7_9) => f.write_str("0.7.9 before 0.8.6"),
            Host::Of(_) => self.abi().fmt(f),
            Host::Assuming(abi) => write!(f, "none, assuming {abi}"),
            Host::Hidden => f.write_str("none, libmultipath hidden"),
            Host::Unknown => f.write_str("none"),
        }
    }
}

/// Runs the role.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("{trouble}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut channel = Channel::of_host()?;
    let start: Option<Start> = channel.receive().doing("waiting for the runner")?;
    let start = start.ok_or_else(|| Trouble::Broken("the runner starts this".to_owned()))?;
    let scenario = scenarios::find(&start.scenario)?;
    if let Some(library) = &start.libmultipath {
        let scope = if start.global {
            libc::RTLD_GLOBAL
        } else {
            libc::RTLD_LOCAL
        };
        plugin::open(library, libc::RTLD_NOW | scope)?;
    }
    if start.assume {
        // A second load gives the same object: what is assumed here holds for the driver's handle.
        let plugin = Plugin::load(&start.plugin, start.abi)?;
        let answer = plugin.assume_abi(start.abi.letter().into());
        if answer != Some(0) {
            return Err(Trouble::Broken(format!(
                "libcheck_assume_abi returned {answer:?}"
            )));
        }
    }
    // Thousands of instances have thousands of descriptors; on failure the limit stays.
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most.min(1 << 20), most);
    }
    let mut driver = Driver::new(start, channel)?;
    let outcome = (scenario.run)(&mut driver);
    driver.end(outcome)
}

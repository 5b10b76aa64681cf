// SPDX-License-Identifier: LGPL-2.0-or-later

//! The host in which a scenario runs: which executable, and what it states of its ABI.
#![forbid(unsafe_code)]

use harness::abi::Abi;
use harness::process::HostKind;
use std::fmt;

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

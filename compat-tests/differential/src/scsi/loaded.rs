// SPDX-License-Identifier: LGPL-2.0-or-later

//! A plugin in whichever form the host prefers.

#![forbid(unsafe_code)]

use crate::scsi::host_path::HostPath;
use crate::scsi::libmultipath::Libmultipath;
use crate::scsi::library_path::LibraryPath;
use crate::scsi::log_sink::silently;
use harness::abi::Abi;
use harness::async_plugin::AsyncPlugin;
use harness::plugin::Plugin;
use std::ffi::c_short;
use std::path::Path;

/// A plugin.
pub(crate) enum Loaded {
    /// With entry points that the host calls: every plugin before 0.15.0, and this project's.
    Entries(Plugin),
    /// With one function, which 0.15's libmultipath calls.
    Function(AsyncPlugin, Libmultipath),
}

impl Loaded {
    /// Loads a plugin as a host of this ABI does.
    pub(crate) fn load(path: &Path, checker: &str, abi: Abi) -> Result<Loaded, String> {
        let failed = |trouble: harness::Trouble| trouble.to_string();
        if abi == Abi::V0_15 {
            if let Some(plugin) = AsyncPlugin::load(path).map_err(failed)? {
                let library = silently(|| load_into_library(checker))?;
                return Ok(Loaded::Function(plugin, library));
            }
        }
        Plugin::load(path, abi).map(Loaded::Entries).map_err(failed)
    }

    /// The plugin's own messages.
    pub(crate) fn messages(&self) -> &[String] {
        match self {
            Loaded::Entries(plugin) => plugin.messages(),
            Loaded::Function(plugin, _) => plugin.messages(),
        }
    }

    /// The text of a message id.
    pub(crate) fn message(&self, id: c_short) -> &str {
        match self {
            Loaded::Entries(plugin) => plugin.message(id),
            Loaded::Function(plugin, _) => plugin.message(id),
        }
    }
}

/// Has libmultipath load the plugin: it does so for the first path with the checker, which must not
/// happen on two threads at once.
fn load_into_library(checker: &str) -> Result<Libmultipath, String> {
    let library = Libmultipath::load(checker)?;
    let mut path = Box::new(LibraryPath::new(&library, None, -1, 0));
    let loaded = path.init();
    path.free();
    match loaded {
        0 => Ok(library),
        _ => Err(format!("libmultipath cannot load {checker}")),
    }
}

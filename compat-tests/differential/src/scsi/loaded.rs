//! A plugin in whichever form the host prefers.

use crate::scsi::libmultipath::Libmultipath;
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
                return Ok(Loaded::Function(plugin, Libmultipath::load(checker)?));
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

//! A release of multipath-tools whose C plugins are measured.

use harness::abi::Abi;
use std::fs;
use std::path::{Path, PathBuf};

/// A directory of C plugins.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    directory: PathBuf,
    /// The upstream version, "?" when nothing says it.
    pub(crate) version: String,
}

impl Release {
    /// `directory` lies in a tree as scripts/fetch-c-checkers makes them, with a file `version`, or
    /// in a system where dpkg knows.
    pub(crate) fn new(directory: &str) -> Release {
        let directory = PathBuf::from(directory);
        let version = directory
            .ancestors()
            .find_map(|above| fs::read_to_string(above.join("version")).ok())
            .unwrap_or_default();
        let upstream = version.split('-').next().unwrap_or_default().trim();
        Release {
            version: match upstream {
                "" => "?".to_owned(),
                upstream => upstream.to_owned(),
            },
            directory,
        }
    }

    /// The plugin of a checker with its ABI. `None` without one that a host can ask: from 0.15.0 on
    /// most leave their asynchrony to the daemon.
    pub(crate) fn plugin(&self, checker: &str) -> Option<(PathBuf, Abi)> {
        let plugin = self.directory.join(format!("libcheck{checker}.so"));
        let abi = self.abi(&plugin)?;
        Some((plugin, abi))
    }

    /// The functions that the plugin has tell, and where they do not, the version.
    fn abi(&self, plugin: &Path) -> Option<Abi> {
        let bytes = fs::read(plugin).ok()?;
        let has = |name: &str| {
            bytes
                .windows(name.len())
                .any(|window| window == name.as_bytes())
        };
        let minor = self.version.split('.').nth(1)?.parse::<u32>().ok();
        match minor {
            _ if has("libcheck_async_func") => None,
            Some(15..) => has("libcheck_need_wait").then_some(Abi::V0_15),
            Some(..=10) => Some(Abi::V0_7_9),
            _ if has("libcheck_need_wait") => Some(Abi::V0_11),
            // Checkers that always block are the same in B and C but for the struct's layout.
            _ => minor.map(|_| Abi::V0_11),
        }
    }
}

//! A release of multipath-tools whose C plugins are measured.

use harness::layout::Era;
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

    /// The plugin of a checker with its era. `None` without one that a host can ask: from 0.15.0 on
    /// most leave their asynchrony to the daemon.
    pub(crate) fn plugin(&self, checker: &str) -> Option<(PathBuf, Era)> {
        let plugin = self.directory.join(format!("libcheck{checker}.so"));
        let era = self.era(&plugin)?;
        Some((plugin, era))
    }

    /// The functions that the plugin has tell, and where they do not, the version.
    fn era(&self, plugin: &Path) -> Option<Era> {
        let bytes = fs::read(plugin).ok()?;
        let has = |name: &str| {
            bytes
                .windows(name.len())
                .any(|window| window == name.as_bytes())
        };
        let minor = self.version.split('.').nth(1)?.parse::<u32>().ok();
        match minor {
            _ if has("libcheck_async_func") => None,
            Some(15..) => has("libcheck_need_wait").then_some(Era::D),
            Some(..=10) => Some(Era::B),
            _ if has("libcheck_need_wait") => Some(Era::C),
            // Checkers that always block are the same in B and C but for the struct's layout.
            _ => minor.map(|_| Era::C),
        }
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Directories of plugins, and which release of multipath-tools they are of.

#![forbid(unsafe_code)]

use harness::abi::Abi;
use std::fs;
use std::path::{Path, PathBuf};

/// A directory of plugins.
#[derive(Clone, Debug)]
pub struct Release {
    directory: PathBuf,
    /// The upstream version, "?" when nothing says it.
    pub version: String,
}

impl Release {
    /// The version comes from a file `version` above the directory, as in the trees that
    /// scripts/fetch-c-checkers makes.
    pub fn new(directory: PathBuf) -> Release {
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

    /// The plugin of a checker, whether it is there or not.
    pub fn file(&self, checker: &str) -> PathBuf {
        self.directory.join(format!("libcheck{checker}.so"))
    }

    /// The checkers of which there is a plugin, directio and tur first.
    pub fn checkers(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory)
            .into_iter()
            .flatten()
            .flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let name = name.strip_prefix("libcheck")?.strip_suffix(".so")?;
                Some(name.to_owned())
            })
            .collect();
        names.sort_by_key(|name| (name != "directio", name != "tur", name.clone()));
        names
    }

    /// The plugin of a checker with its ABI. `None` without one that a host can call: from 0.15.0 on
    /// most plugins leave their asynchrony to the daemon.
    pub fn plugin(&self, checker: &str) -> Option<(PathBuf, Abi)> {
        let plugin = self.file(checker);
        let abi = self.abi(&plugin)?;
        Some((plugin, abi))
    }

    /// The ABI of a plugin: by the functions that it exports and, where these fit two ABIs, by the version.
    /// `None` for one that no host here can call.
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
            // Checkers that always block differ between 0.7.9 and 0.11 in the struct's layout only.
            _ => minor.map(|_| Abi::V0_11),
        }
    }
}

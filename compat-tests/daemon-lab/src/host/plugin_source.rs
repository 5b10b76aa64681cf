// SPDX-License-Identifier: LGPL-2.0-or-later
//! The value of `--plugins`.

use std::io;
use std::path::{Path, PathBuf};

/// Where the plugins of a run come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PluginSource {
    /// The suite's multipath-tools package.
    Upstream,
    /// A directory whose plugins are bound over the suite's.
    Directory(PathBuf),
}

impl PluginSource {
    /// Parses a directory or the word `upstream`.
    ///
    /// # Errors
    /// When the directory cannot be read or has no plugin.
    pub(crate) fn parse(text: &str) -> Result<PluginSource, String> {
        if text == "upstream" {
            return Ok(PluginSource::Upstream);
        }
        let directory = Path::new(text).canonicalize().map_err(|e| e.to_string())?;
        if libraries(&directory).map_err(|e| e.to_string())?.is_empty() {
            return Err("no libcheck*.so in this directory".to_owned());
        }
        Ok(PluginSource::Directory(directory))
    }

    pub(crate) fn directory(&self) -> Option<&Path> {
        match self {
            PluginSource::Upstream => None,
            PluginSource::Directory(directory) => Some(directory),
        }
    }
}

/// The plugins in a directory, sorted.
///
/// # Errors
/// When the directory cannot be read.
pub(crate) fn libraries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("libcheck") && name.ends_with(".so") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

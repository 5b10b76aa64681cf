// SPDX-License-Identifier: LGPL-2.0-or-later

//! A copy of the tracked files, in which mutants are applied, with build output of its own.

use crate::list::Mutant;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The copy. A mutant that is applied is taken back by [`Copy::restore`].
pub(crate) struct Copy {
    top: PathBuf,
    sources: PathBuf,
    build: PathBuf,
}

impl Copy {
    /// Makes the copy, or brings it up to date: files that are the same stay untouched, so that cargo
    /// builds only what has changed.
    pub(crate) fn new() -> Result<Copy, String> {
        let top = std::env::current_dir().map_err(|error| error.to_string())?;
        let copy = Copy {
            sources: top.join("target/broken/sources"),
            build: top.join("target/broken/build"),
            top,
        };
        let listed = Command::new("git")
            .args(["ls-files", "-z"])
            .output()
            .map_err(|error| format!("git: {error}"))?;
        let mut wanted = BTreeSet::new();
        for name in String::from_utf8_lossy(&listed.stdout).split_terminator('\0') {
            let path = PathBuf::from(name);
            if path.exists() {
                copy.restore(&path)?;
                wanted.insert(path);
            }
        }
        if wanted.is_empty() {
            return Err("git lists no files".to_owned());
        }
        copy.remove_others(&copy.sources, &wanted)?;
        Ok(copy)
    }

    fn remove_others(&self, folder: &Path, wanted: &BTreeSet<PathBuf>) -> Result<(), String> {
        let say = |error: std::io::Error| format!("{}: {error}", folder.display());
        for entry in std::fs::read_dir(folder).map_err(say)? {
            let path = entry.map_err(say)?.path();
            if path.is_dir() {
                self.remove_others(&path, wanted)?;
            } else if !path
                .strip_prefix(&self.sources)
                .is_ok_and(|path| wanted.contains(path))
            {
                std::fs::remove_file(&path).map_err(say)?;
            }
        }
        Ok(())
    }

    /// Makes a file of the copy the same as the original.
    pub(crate) fn restore(&self, file: &Path) -> Result<(), String> {
        let say = |error: std::io::Error| format!("{}: {error}", file.display());
        let original = std::fs::read(self.top.join(file)).map_err(say)?;
        let copy = self.sources.join(file);
        if std::fs::read(&copy).is_ok_and(|present| present == original) {
            return Ok(());
        }
        if let Some(folder) = copy.parent() {
            std::fs::create_dir_all(folder).map_err(say)?;
        }
        std::fs::write(&copy, original).map_err(say)
    }

    /// Changes the file of this mutant.
    pub(crate) fn apply(&self, mutant: &Mutant) -> Result<(), String> {
        let mut git = Command::new("git")
            .args(["apply", "-"])
            .current_dir(&self.sources)
            // The copy lies within a repository, of which git must know nothing here.
            .env("GIT_CEILING_DIRECTORIES", self.top.join("target/broken"))
            .env_remove("GIT_DIR")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("git: {error}"))?;
        if let Some(mut input) = git.stdin.take() {
            input
                .write_all(mutant.patch().as_bytes())
                .map_err(|error| format!("git: {error}"))?;
        }
        let output = git.wait_with_output().map_err(|error| error.to_string())?;
        let same = std::fs::read(self.sources.join(&mutant.file)).ok()
            == std::fs::read(self.top.join(&mutant.file)).ok();
        if output.status.success() && !same {
            Ok(())
        } else {
            Err(format!("does not apply: {}", last_line(&output.stderr)))
        }
    }

    /// Runs cargo in the copy.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Result<Output, String> {
        Command::new("cargo")
            .args(arguments)
            .current_dir(&self.sources)
            .env("CARGO_TARGET_DIR", &self.build)
            // Mutants leave parameters unused.
            .env("RUSTFLAGS", "--cap-lints=warn")
            .output()
            .map_err(|error| format!("cargo: {error}"))
    }

    /// Where libraries are built.
    pub(crate) fn libraries(&self) -> PathBuf {
        self.build.join("debug")
    }
}

/// The last line that is not empty.
pub(crate) fn last_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or("no output").to_owned()
}

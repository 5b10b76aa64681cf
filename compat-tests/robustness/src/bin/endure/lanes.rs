// SPDX-License-Identifier: LGPL-2.0-or-later

//! Hosts of several plugins at a time: they wait more than they work.

#![forbid(unsafe_code)]

use crate::options::Subject;
use harness::process::{HostKind, Launch};
use harness::{Doing, Result};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use tempfile::NamedTempFile;

/// How many there are at a time.
const LANES: usize = 4;

/// Calls `each` for every plugin. The results are in the order of the plugins.
pub(crate) fn all<T: Send>(
    subjects: &[Subject],
    each: impl Fn(&Subject) -> Result<T> + Sync,
) -> Vec<Result<T>> {
    let queue = Mutex::new(subjects.iter().enumerate());
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((number, subject)) = next else {
                        return;
                    };
                    let result = each(subject);
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    results.push((number, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The command that runs a host of the plugin's ABI in a role.
pub(crate) fn command(subject: &Subject, role: &'static str) -> Result<Command> {
    let mut command = Launch::new(HostKind::from(subject.abi), role)?.command()?;
    if subject.checker == "cciss_tur" {
        // cciss_tur, upstream's and ours, writes a line there for each failed command.
        command.stderr(Stdio::null());
    }
    Ok(command)
}

/// The plugin's file, for a process whose working directory may be another one.
pub(crate) fn plugin(subject: &Subject) -> Result<PathBuf> {
    std::path::absolute(&subject.plugin).doing("finding a plugin")
}

/// A file on the disk that completes reads.
pub(crate) fn file() -> Result<NamedTempFile> {
    // Next to the executable rather than in /tmp, which is often a tmpfs.
    let executable = std::env::current_exe().doing("finding this executable")?;
    let directory = executable.parent().unwrap_or(std::path::Path::new("."));
    let file = NamedTempFile::new_in(directory).doing("making a file")?;
    std::fs::write(file.path(), [0; 65536]).doing("writing a file")?;
    Ok(file)
}

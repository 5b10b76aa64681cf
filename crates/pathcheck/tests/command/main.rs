// SPDX-License-Identifier: LGPL-2.0-or-later

//! The program as its users start it.
//!
//! Tests that need root, FUSE or loop devices are ignored by default, so that they are counted as
//! not run; as root, run them with `--include-ignored`.

#![expect(clippy::unwrap_used, reason = "tests")]

mod hanging;
mod loops;
mod output;
#[path = "../../../checker-directio/tests/directio/stalled.rs"]
mod stalled;

use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pathcheck"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs the program to its end and returns how long that took.
fn timed<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> (Output, Duration) {
    let start = Instant::now();
    let output = command(arguments).output().unwrap();
    (output, start.elapsed())
}

fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    timed(arguments).0
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The states that the document gives, in order.
fn states(document: &Value) -> Vec<&str> {
    let paths = document["paths"].as_array().unwrap();
    paths
        .iter()
        .map(|path| path["state"].as_str().unwrap())
        .collect()
}

/// A directory that goes away, on a file system with direct I/O.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn image(directory: &Path, name: &str, size: u64) -> PathBuf {
    let path = directory.join(name);
    std::fs::File::create_new(&path)
        .unwrap()
        .set_len(size)
        .unwrap();
    path
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! What `pathcheck` costs a path, from the start of the program to its last line, and the lower bound
//! of a program that has to open its devices.

#![forbid(unsafe_code)]

use crate::case::Case;
use crate::contender::Contender;
use crate::figure::Figure;
use crate::measure::files;
use crate::results::Results;
use bench::devices::Devices;
use bench::lower_bound::BareReads;
use bench::protocol::Pace;
use bench::usage;
use harness::abi::Abi;
use harness::process::sibling;
use harness::{Doing, Result, Trouble};
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How many paths one run is given.
const PATHS: usize = 10_000;

/// How many of them the lower bound has open at a time; the usual limit is 1024.
const AT_A_TIME: usize = 512;

/// Measures the program in the directory of this one.
pub(crate) fn measure(turns: usize, results: &mut Results) -> Result<()> {
    let Ok(program) = sibling("pathcheck") else {
        let what = "pathcheck: it has not been built".to_owned();
        results.not_run.push(what);
        return Ok(());
    };
    let case = Case::new("directio", PATHS);
    let mut devices = Devices::default();
    let files = files(&mut devices, &case)?;
    let (mut ours, mut bound) = (Vec::new(), Vec::new());
    let per_path = |used: Duration| used.as_secs_f64() * 1e6 / PATHS as f64;
    for _ in 0..turns {
        let before = usage::processor_time_of_children();
        let status = Command::new(&program)
            .args(["--checker", "directio", "--json"])
            .args(files.iter().cycle().take(PATHS))
            .stdout(Stdio::null())
            .status()
            .doing("running pathcheck")?;
        if !status.success() {
            return Err(Trouble::Broken(format!("pathcheck: {status}")));
        }
        ours.push(per_path(usage::processor_time_of_children() - before));
        let before = usage::processor_time();
        read_all(&files)?;
        bound.push(per_path(usage::processor_time() - before));
    }
    results.add(&case, Figure::Pathcheck, Contender::LowerBound, &bound);
    // pathcheck calls checkers as a host of 0.11 does.
    results.add(&case, Figure::Pathcheck, Contender::Ours(Abi::V0_11), &ours);
    Ok(())
}

/// Looks every path up, opens it, reads its first block and closes it, on one thread.
fn read_all(files: &[PathBuf]) -> Result<()> {
    let mut paths = files.iter().cycle().take(PATHS).peekable();
    while paths.peek().is_some() {
        let open = |path: &PathBuf| {
            fs::metadata(path).doing("looking a path up")?;
            let file = File::options()
                .read(true)
                .custom_flags(libc::O_DIRECT)
                .open(path)
                .doing("opening a path")?;
            Ok(OwnedFd::from(file))
        };
        let opened: Result<Vec<_>> = paths.by_ref().take(AT_A_TIME).map(open).collect();
        // Asleep until the completions are there, which costs no processor time.
        BareReads::new(opened?, 1)?.round(Pace::Daemon, |submit| submit());
    }
    Ok(())
}

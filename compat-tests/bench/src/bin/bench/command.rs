//! What `pathcheck` costs a path, from the start of the program to its last line, and the least that a
//! program can do with that has to open its devices.

use crate::case::Case;
use crate::figures::Quantity;
use crate::measure::files;
use crate::options::Options;
use crate::report::Report;
use crate::side::Who;
use bench::aio_floor::Floor;
use bench::usage;
use harness::abi::Abi;
use harness::devices::Lab;
use harness::{Doing, Result, Trouble};
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// How many paths one run is given.
const PATHS: usize = 10_000;

/// How many of them the floor has open at a time; the usual limit is 1024.
const AT_A_TIME: usize = 512;

/// Measures the program that was built with this one.
pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<()> {
    let this = std::env::current_exe().doing("finding pathcheck")?;
    let program = this.with_file_name("pathcheck");
    if !program.exists() {
        report.not_run("pathcheck: it has not been built".to_owned());
        return Ok(());
    }
    let case = Case::new("directio", PATHS);
    let mut lab = Lab::default();
    let files = files(&mut lab, &case)?;
    let mut samples = Vec::new();
    let mut floor = Vec::new();
    for _ in 0..options.repeats {
        let before = usage::processor_time_of_children();
        let status = Command::new(&program)
            .args(["--checker", "directio", "--json"])
            .args(files.split(' ').cycle().take(PATHS))
            .stdout(Stdio::null())
            .status()
            .doing("running pathcheck")?;
        if !status.success() {
            return Err(Trouble::Broken(format!("pathcheck: {status}")));
        }
        let used: Duration = usage::processor_time_of_children() - before;
        samples.push(used.as_secs_f64() * 1e6 / PATHS as f64);
        let before = usage::processor_time();
        read_all(&files)?;
        let used = usage::processor_time() - before;
        floor.push(used.as_secs_f64() * 1e6 / PATHS as f64);
    }
    report.enter(&case, Quantity::Command, Who::Floor, &floor);
    // It asks as a host of ABI 0.11 does.
    report.enter(&case, Quantity::Command, Who::Ours(Abi::V0_11), &samples);
    Ok(())
}

/// Looks every path up, opens it, reads its first block and closes it, on one thread.
fn read_all(files: &str) -> Result<()> {
    let mut paths = files.split(' ').cycle().take(PATHS).peekable();
    while paths.peek().is_some() {
        let open = |path: &str| {
            fs::metadata(path).doing("looking a path up")?;
            let file = File::options()
                .read(true)
                .custom_flags(libc::O_DIRECT)
                .open(path)
                .doing("opening a path")?;
            Ok(OwnedFd::from(file))
        };
        let opened: Result<Vec<_>> = paths.by_ref().take(AT_A_TIME).map(open).collect();
        let mut reads = Floor::new(opened?, 1)?;
        reads.submit();
        let mut left = reads.count();
        while left > 0 {
            left -= reads.reap();
            // The answers come by themselves: to wait for them is not to cost processor time.
            thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

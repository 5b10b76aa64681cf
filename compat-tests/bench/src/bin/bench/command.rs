//! What `pathcheck` costs a path, from the start of the program to its last line.

use crate::case::Case;
use crate::figures::Quantity;
use crate::measure::files;
use crate::options::Options;
use crate::report::Report;
use crate::side::Who;
use bench::usage;
use compat_tests::lab::Lab;
use compat_tests::layout::Era;
use compat_tests::{Doing, Result, Trouble};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How many paths one run is given.
const PATHS: usize = 10_000;

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
    }
    // It asks as a host of era C does.
    report.enter(&case, Quantity::Command, Who::Ours(Era::C), &samples);
    Ok(())
}

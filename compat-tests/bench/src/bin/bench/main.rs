//! Prints what a check costs: C's plugins, ours, and the least that is possible, in one run.
//!
//! | module | subject |
//! |---|---|
//! | `options` | the command line |
//! | `release` | C's plugins |
//! | `side` | who is measured |
//! | `case` | under which conditions |
//! | `measure` | rounds, taken in turns |
//! | `command` | a run of `pathcheck` over ten thousand paths |
//! | `memory` | bytes per path, idle and in flight |
//! | `syscalls` | system calls per check |
//! | `figures` | medians and spreads |
//! | `targets` | which ratio is promised, and whether it is kept |
//! | `report` | the printed text |

mod case;
mod command;
mod figures;
mod measure;
mod memory;
mod options;
mod release;
mod report;
mod side;
mod syscalls;
mod targets;

use harness::Result;
use options::Options;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("bench: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let mut report = report::Report::new(options);
    for checker in &options.checkers {
        side::missing(options, checker)
            .into_iter()
            .for_each(|what| report.not_run(what));
    }
    for case in case::all(options) {
        eprintln!("bench: {case}");
        let sides = side::sides(options, &case.checker);
        measure::measure(options, &case, &sides, &mut report)?;
    }
    for checker in &options.checkers {
        eprintln!("bench: {checker}, memory");
        memory::measure(options, checker, &mut report)?;
        eprintln!("bench: {checker}, system calls");
        syscalls::measure(options, checker, &mut report)?;
    }
    if options.checkers.iter().any(|checker| checker == "directio") {
        eprintln!("bench: pathcheck");
        command::measure(options, &mut report)?;
    }
    report.print();
    Ok(())
}

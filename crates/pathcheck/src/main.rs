//! Checks disk paths from the command line, as multipathd does.
//!
//! Two processes share the work. The one that the user started never touches a device: it lists
//! the disks, prints the results, and ends in time whatever the devices do. All that can block
//! (looking a file up, opening it, checking it) happens in a second process, the worker, on threads
//! of which a device can hold up one, and nothing else with it. When a device hangs, the worker is
//! left behind: the kernel holds a process until its last asynchronous read has ended, and nothing,
//! not even SIGKILL, can hurry that.
//!
//! | module | subject |
//! |---|---|
//! | `cli` | the command line |
//! | `listing`, `facts` | what sysfs knows: the disks there are; the kind and time limit of one |
//! | `survey` | the first process: asks the worker, keeps the time limits |
//! | `protocol` | what the two say to each other |
//! | `worker`, `board`, `check` | the second process: its threads; what they share; one device |
//! | `checkers`, `rdac` | the checkers to choose from; one that is kept from changing anything |
//! | `choice`, `hwtable` | which one suits a device |
//! | `sysfs_state` | when a checker is not called at all |
//! | `reason` | what the device answered |
//! | `outcome` | what came of it, and the exit code |
//! | `table`, `json`, `progress` | showing it |

#![forbid(unsafe_code)]

mod board;
mod check;
mod checkers;
mod choice;
mod cli;
mod facts;
mod hwtable;
mod json;
mod listing;
mod outcome;
mod progress;
mod protocol;
mod rdac;
mod reason;
mod survey;
mod sysfs_state;
mod table;
mod worker;

use clap::Parser;
use outcome::Exit;
use std::io::ErrorKind;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    if arguments.worker {
        worker::run();
        return ExitCode::SUCCESS;
    }
    let mut paths = match cli::paths(&arguments) {
        Ok(paths) => paths,
        Err(reason) => {
            eprintln!("pathcheck: {reason}");
            return Exit::NotChecked.into();
        }
    };
    let mut display: Box<dyn survey::Display> = match arguments.json {
        true => Box::new(json::Document),
        false => Box::new(table::Table::new(&paths)),
    };
    let shown = survey::run(&mut paths, display.as_mut());
    match shown {
        // A reader that has seen enough (`pathcheck | head`) is no failure.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("pathcheck: cannot write the results: {error}");
            Exit::NotChecked.into()
        }
        _ => Exit::of(&paths).into(),
    }
}

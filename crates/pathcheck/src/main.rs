// SPDX-License-Identifier: LGPL-2.0-or-later

//! Checks disk paths from the command line, as multipathd does.
//!
//! Two processes share the work. The one that the user started never touches a device: it lists
//! the disks, prints the results, and ends in time whatever the devices do. All that can block
//! (finding a file, opening it, checking it) happens in a second process, the worker, on threads
//! of which a device that hangs blocks one. The worker is then not waited for: the kernel keeps a process
//! until its last asynchronous read has ended, even after SIGKILL.
//!
//! | module | subject |
//! |---|---|
//! | `cli` | the command line |
//! | `listing`, `device_info` | from sysfs: the disks of the system; the kind and time limit of one |
//! | `path` | one device: its information, time limit and outcome |
//! | `supervisor` | the first process: starts the worker, keeps the time limits |
//! | `protocol` | the messages between the two |
//! | `worker`, `work_queue`, `check` | the second process: its threads; their jobs; one device |
//! | `checkers`, `rdac` | the checkers to choose from; one that is kept from changing anything |
//! | `choice`, `hwtable` | which one suits a device |
//! | `sysfs_state` | when a checker is not called at all |
//! | `reason` | the last reply of the device |
//! | `outcome` | the result of a check, and the exit code |
//! | `table`, `json`, `progress` | showing it |

#![forbid(unsafe_code)]

mod check;
mod checkers;
mod choice;
mod cli;
mod device_info;
mod hwtable;
mod json;
mod listing;
mod outcome;
mod path;
mod progress;
mod protocol;
mod rdac;
mod reason;
mod supervisor;
mod sysfs_state;
mod table;
mod work_queue;
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
    let mut display: Box<dyn supervisor::Display> = match arguments.json {
        true => Box::new(json::Document),
        false => Box::new(table::Table::new(&paths)),
    };
    let shown = supervisor::run(&mut paths, display.as_mut());
    match shown {
        // A reader that has seen enough (`pathcheck | head`) is no failure.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("pathcheck: cannot write the results: {error}");
            Exit::NotChecked.into()
        }
        _ => Exit::of(paths.iter().map(|path| path.outcome.as_ref())).into(),
    }
}

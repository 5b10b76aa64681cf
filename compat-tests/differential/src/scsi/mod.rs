// SPDX-License-Identifier: LGPL-2.0-or-later

//! Differential tests of the SCSI checkers: the plugin of a multipath-tools release and this project's
//! run the same cases in one process, whose `ioctl` answers both from the same script. Verdicts,
//! messages, every command with its data and time limit, and the log have to agree, but for the rows of
//! `docs/differences.toml`.
//!
//! The process is a host of the release's ABI: it has loaded the release's libmultipath, calls the
//! plugins as that ABI's daemon does, and runs with the release's C library. This project's plugin has
//! to find out its ABI from that.
//!
//! | module | subject |
//! |---|---|
//! | [`arguments`], [`suite`] | the command line, and what is run for it |
//! | [`pair`], [`implementation`], [`loaded`] | both plugins of a checker |
//! | [`instance`], [`host_path`] | a path, whatever its host |
//! | [`direct_path`], [`library_path`], [`libmultipath`] | a path that this program calls; one of 0.15's libmultipath |
//! | [`run`], [`differences`] | a case with one plugin; the records of both, compared by the ledger |
//! | [`tables`], [`random`] | the decision tables and random cases |
//! | [`scenarios`], [`scenario_driver`], [`sequential`] | the asynchronous protocol |
//! | [`path_log`], [`protocol_lines`], [`log_sink`], [`stderr`] | what is logged, and what has to be |
//! | [`generic_tables`], [`results`], [`crash`] | texts of libmultipath; counts; what ends a process |

#![allow(
    clippy::indexing_slicing,
    reason = "a test program, in which a wrong offset has to be seen"
)]

mod arguments;
mod crash;
mod differences;
mod direct_path;
mod generic_tables;
mod host_path;
mod implementation;
mod instance;
mod libmultipath;
mod library_path;
mod loaded;
mod log_sink;
mod pair;
mod path_log;
mod protocol_lines;
mod random;
mod results;
mod run;
mod scenario_driver;
mod scenarios;
mod sequential;
mod stderr;
mod suite;
mod tables;

pub use suite::{host_main, main};

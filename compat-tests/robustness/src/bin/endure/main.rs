// SPDX-License-Identifier: LGPL-2.0-or-later

//! Lets devices hang, return, break and vanish, and refuses resources: how long a call takes at most,
//! and what is used up in the long run.
//!
//! | module | subject |
//! |---|---|
//! | `options` | the command line, and the plugins it names |
//! | `report` | what passed, and the longest calls |
//! | `test_host` | one host with its devices |
//! | `call_times`, `latency` | the longest calls, and which of them counts as one that waits |
//! | `model` | what a path may report |
//! | `operations` | random sequences of calls and events |
//! | `never_wait`, `crowds`, `exit` | thousands of sequences; many paths on one hung device; the end of a process |
//! | `aio_quota` | the system's quota of AIO events |
//! | `soak` | many hosts at a time, for long |
//! | `tools` | many threads in one plugin, and random input, under tools that find races and bad accesses |
//! | `lanes` | several plugins at a time |
//! | `refusals` | a resource is refused at every place in turn |
//! | `scenes` | fork, signals, stops, cancelled threads, large static TLS |

#![forbid(unsafe_code)]

mod aio_quota;
mod call_times;
mod crowds;
mod exit;
mod lanes;
mod latency;
mod model;
mod never_wait;
mod operations;
mod options;
mod refusals;
mod report;
mod scenes;
mod soak;
mod test_host;
mod tools;

use clap::Parser;
use options::{Options, Part};
use report::Report;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = Options::parse();
    // This process serves the devices: a caller that waits for one must not also wait for this process
    // to be scheduled.
    bench::usage::become_real_time();
    let mut report = Report::default();
    for part in &options.parts {
        report.part(*part);
        match part {
            Part::NeverWait => never_wait::run(&options, &mut report),
            Part::Soak => soak::run(&options, &mut report),
            Part::Races => tools::races(&options, &mut report),
            Part::Memcheck => tools::memcheck(&options, &mut report),
            Part::Shortage => refusals::run(&options, &mut report),
            Part::Scenes => scenes::run(&options, &mut report),
            Part::Random => tools::random(&options, &mut report),
        }
    }
    report.finish()
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! What random sequences hardly reach: many paths on one device that hangs, and unloading while it does.

#![forbid(unsafe_code)]

use crate::aio_quota;
use crate::latency::{has_waited, with_host};
use crate::model::Behaviour;
use crate::options::Subject;
use crate::report::Report;
use crate::test_host::{Layout, TestHost};
use bench::protocol::Function;
use harness::{Result, Trouble};
use std::time::{Duration, Instant};

/// How many paths there are when the plugin is unloaded and when the process ends.
pub(crate) const FEW: usize = 40;

/// A time limit that never passes, in seconds.
const LONG: u32 = 1000;

/// How long a path may take until it reports its healthy device.
const SOON: Duration = Duration::from_secs(10);

/// Many paths on one device that hangs.
struct Crowd {
    name: &'static str,
    paths: usize,
    /// The paths are of a loop device, whose queue they fill.
    loops: bool,
}

const CROWDS: [Crowd; 2] = [
    // As many paths as share an AIO context, all of which become orphans.
    Crowd {
        name: "1024 orphans",
        paths: 1024,
        loops: false,
    },
    // More paths than the queue of a loop device has room for (128): the last ones find it full.
    Crowd {
        name: "a full queue",
        paths: 300,
        loops: true,
    },
];

/// Tests one of our plugins.
pub(crate) fn run(subject: &Subject, report: &mut Report) {
    if subject.checker == "directio" {
        for crowd in CROWDS {
            let name = format!("{}: {}", crowd.name, subject.name());
            with_host(subject, &crowd.layout(), &name, report, |host, check| {
                let before = aio_quota::used()?;
                check.run(host, |host| crowd.run(host))?;
                let quota = aio_quota::returns_to(before)?;
                Ok(format!("{}, {quota}", check.times.describe()))
            });
        }
    }
    let name = format!("unloaded: {}", subject.name());
    with_host(subject, &few(), &name, report, |host, check| {
        let before = aio_quota::used()?;
        check.run(host, unload)?;
        let quota = aio_quota::returns_to(before)?;
        Ok(format!("{}, {quota}", check.times.describe()))
    });
}

/// Upstream's directio, where it is known to wait.
pub(crate) fn run_upstream(subject: &Subject, report: &mut Report) {
    if subject.checker != "directio" {
        return;
    }
    for crowd in CROWDS {
        let name = format!("noticed, {}: {}", crowd.name, subject.name());
        with_host(subject, &crowd.layout(), &name, report, |host, check| {
            let result = crowd.run(host);
            check.times.add(&host.take_times());
            result?;
            has_waited(check)
        });
    }
}

/// A few paths of one file.
pub(crate) fn few() -> Layout {
    Layout {
        device_of: vec![0; FEW],
        loops_from: 1,
    }
}

impl Crowd {
    fn layout(&self) -> Layout {
        Layout {
            device_of: vec![0; self.paths],
            loops_from: usize::from(!self.loops),
        }
    }

    /// All paths hang, are given up, and new ones come; in the end the device answers.
    fn run(&self, host: &mut TestHost) -> Result<()> {
        let base = host.usage()?;
        for _ in 0..2 {
            host.set_all(Behaviour::Hangs)?;
            for path in 0..self.paths {
                host.init(path, LONG)?;
            }
            for function in [
                Function::Check,
                Function::NeedWait,
                Function::Pending,
                Function::Check,
            ] {
                for path in 0..self.paths {
                    quick(host, function(path))?;
                }
            }
            if host.is_ours() {
                // Upstream destroys contexts that paths still use.
                quick(host, Function::Reset)?;
            }
            for path in 0..self.paths {
                quick(host, Function::Free(path))?;
            }
            quick(host, Function::Reset)?;
        }
        host.set_all(Behaviour::Answers)?;
        host.rest(base)
    }
}

/// A call, which for ours must not last as long as the device hangs.
fn quick(host: &mut TestHost, function: Function) -> Result<()> {
    let outcome = host.call(function)?;
    match host.is_ours() {
        true => outcome.not_waited(function.name()),
        false => Ok(()),
    }
}

/// The plugin is unloaded while what its paths have started hangs, and loaded again.
fn unload(host: &mut TestHost) -> Result<()> {
    let base = host.usage()?;
    start_and_hang(host)?;
    for path in 0..host.paths() {
        quick(host, Function::Free(path))?;
    }
    quick(host, Function::Unload)?;
    // Unloading has closed the files, as a host does that drops its paths.
    host.load()?;
    host.set_all(Behaviour::Answers)?;
    host.rest(base)?;
    host.init(0, LONG)?;
    let start = Instant::now();
    let healthy = host.expected().healthy;
    while host.state(Function::Check(0))? != healthy && host.state(Function::Pending(0))? != healthy
    {
        if start.elapsed() > SOON {
            return Err(Trouble::Broken("loaded again, it does not work".to_owned()));
        }
    }
    host.call(Function::Free(0))?;
    host.rest(base)
}

/// Starts a check of every path while the device hangs.
pub(crate) fn start_and_hang(host: &mut TestHost) -> Result<()> {
    host.set_all(Behaviour::Hangs)?;
    for path in 0..host.paths() {
        host.init(path, LONG)?;
    }
    (0..host.paths()).try_for_each(|path| quick(host, Function::Check(path)))
}

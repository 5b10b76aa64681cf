// SPDX-License-Identifier: LGPL-2.0-or-later

//! The process is stopped during checks of healthy devices.

#![forbid(unsafe_code)]

use super::{Counts, ok_if};
use crate::child::Child;
use crate::path::{Host, Path, SOON, Target};
use harness::{Doing, Result};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::WaitStatus;
use std::time::Duration;

/// How many paths are checked.
const PATHS: usize = 10;

/// When the process is stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// While commands are in flight, for less than the time limit.
    InFlight,
    /// When they have completed, for longer than the time limit.
    Completed,
}

pub(super) fn run(host: &Host, count: u32, moment: Moment) -> Result<String> {
    let child = Child::start(|| match be_stopped(host, count, moment) {
        Ok(()) => 0,
        Err(trouble) => {
            eprintln!("{trouble}");
            1
        }
    })?;
    let pause = match moment {
        Moment::InFlight => Duration::from_millis(400),
        Moment::Completed => Duration::from_millis(1300),
    };
    loop {
        match child.wait_for_stop()? {
            WaitStatus::Stopped(_, _) => {
                std::thread::sleep(pause);
                child.signal(Signal::SIGCONT)?;
            }
            status => {
                let good = matches!(status, WaitStatus::Exited(_, 0));
                let text = format!("stopped for {pause:?}, {count} times, every path is up");
                return ok_if(good, if good { text } else { format!("{status:?}") });
            }
        }
    }
}

fn be_stopped(host: &Host, count: u32, moment: Moment) -> Result<()> {
    let mut verdicts = Counts::default();
    let mut paths = Vec::new();
    for _ in 0..PATHS {
        paths.push(Path::with_checker(host, Target::Slow, host.limit(1))?);
    }
    for _ in 0..count {
        let first: Result<Vec<_>> = paths.iter_mut().map(Path::check).collect();
        if moment == Moment::Completed {
            // Longer than ten commands take on a busy machine.
            std::thread::sleep(Duration::from_millis(400));
        }
        raise(Signal::SIGSTOP).doing("stopping")?;
        for (path, state) in paths.iter_mut().zip(first?) {
            verdicts.add(path.wait_for(state, SOON)?);
        }
    }
    paths.iter_mut().try_for_each(Path::free)?;
    ok_if(
        verdicts.all_are("up"),
        format!("verdicts: {:?}", verdicts.0),
    )
    .map(drop)
}

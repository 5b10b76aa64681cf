// SPDX-License-Identifier: LGPL-2.0-or-later

//! Threads check paths while the process forks, and its children check a path by themselves.

use super::{Counts, is_up, ok_if, one_check};
use crate::child::Child;
use crate::path::{Host, Target, broken};
use harness::interpose::faults;
use harness::state::State;
use harness::{Result, Trouble};
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

/// How many threads check paths.
const THREADS: u8 = 3;

/// A child that takes longer hangs.
const CHILD_SECONDS: u32 = 10;

/// The exit code of a child that could not check; others are path states.
const NO_CHECK: i32 = 99;

pub(super) fn run(host: &Host, count: u32) -> Result<String> {
    let over = AtomicBool::new(false);
    let checks = AtomicU64::new(0);
    let mut children = Counts::default();
    let troubles = std::thread::scope(|scope| -> Result<Vec<Trouble>> {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (over, checks) = (&over, &checks);
                scope.spawn(move || -> Result<()> {
                    faults::this_is_the_host();
                    while !over.load(Relaxed) {
                        is_up(one_check(host, Target::Up)?)?;
                        checks.fetch_add(1, Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        let forked = fork(host, count, &mut children);
        over.store(true, Relaxed);
        let ended = threads.into_iter().map(|thread| thread.join());
        let ended = ended.map(|end| end.unwrap_or(Err(broken("a thread has panicked"))));
        Ok(ended.chain([forked]).filter_map(Result::err).collect())
    })?;
    let checks = checks.load(Relaxed);
    let text = format!("children {:?}, {checks} checks beside them", children.0);
    match troubles.first() {
        Some(trouble) => Err(Trouble::Broken(format!("{text}; {trouble}"))),
        None => ok_if(children.all_are("up"), text),
    }
}

fn fork(host: &Host, count: u32, children: &mut Counts) -> Result<()> {
    for _ in 0..count {
        std::thread::sleep(Duration::from_micros(700));
        let child = Child::start(|| {
            // SAFETY: a signal ends the process if it hangs.
            unsafe { libc::alarm(CHILD_SECONDS) };
            one_check(host, Target::Up).map_or(NO_CHECK, |state| state.0)
        })?;
        match child.wait(Duration::from_secs(40))? {
            Some(WaitStatus::Exited(_, NO_CHECK)) => children.add("without a checker"),
            Some(WaitStatus::Exited(_, state)) => children.add(State(state)),
            Some(WaitStatus::Signaled(_, Signal::SIGALRM, _)) => children.add("hung"),
            Some(status) => children.add(format!("{status:?}")),
            None => children.add("hung in the kernel"),
        }
        // Each of these takes ten seconds.
        if children.of("hung") > 2 {
            break;
        }
    }
    Ok(())
}

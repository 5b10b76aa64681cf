// SPDX-License-Identifier: LGPL-2.0-or-later

//! Several paths of which one hangs: with large static TLS, and while no thread can be started.

#![forbid(unsafe_code)]

use super::{is_up, ok_if, one_check};
use crate::path::{Host, LIMIT, Path, SOON, Target, broken};
use bench::{threads, usage};
use harness::interpose::faults::{self, Resource};
use harness::state::State;
use harness::{Result, Trouble};
use std::time::{Duration, Instant};

const TARGETS: [Target; 8] = [
    Target::Hangs,
    Target::Up,
    Target::Slow,
    Target::Up,
    Target::Deferred,
    Target::Up,
    Target::Up,
    Target::Up,
];

/// `count` rounds of checks.
pub(super) fn run(host: &Host, count: u32) -> Result<String> {
    let mut paths = Vec::new();
    for target in TARGETS {
        paths.push(Path::with_checker(host, target, LIMIT)?);
    }
    for _ in 0..count {
        for path in &mut paths {
            if !path.hangs() {
                path.feed();
            }
            match (path.hangs(), path.check()?) {
                (_, State::PENDING) | (false, State::UP) => {}
                (hangs, state) => {
                    return Err(Trouble::Broken(format!("{state}, hangs: {hangs}")));
                }
            }
        }
        for path in paths.iter_mut().filter(|path| !path.hangs()) {
            let end = Instant::now() + SOON;
            while path.collect()? != State::UP {
                if Instant::now() > end {
                    return Err(broken("a path whose device answers is not up"));
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }
    for path in &mut paths {
        path.heal()?;
        is_up(path.verdict(SOON)?)?;
        path.free()?;
    }
    rest(host)?;
    let paths = TARGETS.len();
    Ok(format!("{count} rounds of {paths} paths, one hung"))
}

/// `count` paths come and go while another one hangs and no thread can be started: nothing may grow.
pub(super) fn without_threads(host: &Host, count: u32) -> Result<String> {
    let mut hung = Path::hung(host)?;
    faults::refuse(&[Resource::Threads], 1, true);
    let mut heap = 0;
    for round in 0..count {
        if round == count / 2 {
            heap = faults::heap();
        }
        let mut path = Path::with_checker(host, Target::Deferred, LIMIT)?;
        path.check()?;
        path.free()?;
    }
    let grown = faults::heap() - heap;
    faults::stop_refusing();
    is_up(one_check(host, Target::Deferred)?)?;
    hung.heal()?;
    is_up(hung.verdict(SOON)?)?;
    hung.free()?;
    rest(host)?;
    let paths = count - count / 2;
    ok_if(
        grown < i64::from(paths),
        format!("{grown} bytes of heap more after {paths} further paths"),
    )
}

/// Waits until no thread and no AIO context of the plugin's is left.
fn rest(host: &Host) -> Result<()> {
    let end = Instant::now() + SOON;
    loop {
        let (threads, contexts) = (threads::alive() - 1, usage::aio_contexts());
        if threads + contexts == 0 {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(Trouble::Broken(format!(
                "left behind: {threads} threads, {contexts} AIO contexts"
            )));
        }
        host.reset();
        std::thread::sleep(Duration::from_millis(1));
    }
}

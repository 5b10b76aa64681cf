// SPDX-License-Identifier: LGPL-2.0-or-later

//! The role `scenes`: fork, signals, stops, cancelled threads. Each scene reports what it counted, and fails
//! when any verdict was not the device's.

mod cancel;
mod crowd;
mod fork;
mod signals;
mod stop;

use crate::path::{Host, LIMIT, Path, SOON, Target, run_role};
use crate::protocol::{Scene, SceneOrder};
use harness::abi::Abi;
use harness::ipc::Channel;
use harness::state::State;
use harness::{Doing, Result, Trouble};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::process::ExitCode;

/// The main function of the role.
pub fn main(abi: Abi) -> ExitCode {
    run_role("scenes", || serve(abi))
}

fn serve(abi: Abi) -> Result<()> {
    let mut channel = Channel::of_host()?;
    while let Some(order) = channel.receive().doing("reading an order")? {
        channel.send(&run(abi, order)).doing("replying")?;
    }
    Ok(())
}

fn run(abi: Abi, order: SceneOrder) -> Result<String> {
    let SceneOrder {
        plugin,
        file,
        scene,
        count,
    } = order;
    let host = Host::new(abi, &plugin, file, None, None)?;
    match scene {
        Scene::Fork => fork::run(&host, count),
        Scene::Signals => signals::run(&host, count),
        Scene::Stop => stop::run(&host, count, stop::Moment::InFlight),
        Scene::StopLate => stop::run(&host, count, stop::Moment::Completed),
        Scene::Cancel => cancel::run(&host, count),
        Scene::Crowd => crowd::run(&host, count),
        Scene::NoThread => crowd::without_threads(&host, count),
    }
}

/// From init to free; the verdict in between.
fn one_check(host: &Host, target: Target) -> Result<State> {
    let mut path = Path::with_checker(host, target, LIMIT)?;
    let state = path.verdict(SOON)?;
    path.free()?;
    Ok(state)
}

fn is_up(state: State) -> Result<()> {
    ok_if(state == State::UP, state.to_string()).map(drop)
}

/// `text`, as an error unless `good`.
fn ok_if(good: bool, text: String) -> Result<String> {
    match good {
        true => Ok(text),
        false => Err(Trouble::Broken(text)),
    }
}

/// How often each outcome was seen.
#[derive(Debug, Default)]
struct Counts(BTreeMap<String, u32>);

impl Counts {
    fn add(&mut self, outcome: impl Display) {
        *self.0.entry(outcome.to_string()).or_default() += 1;
    }

    fn of(&self, outcome: &str) -> u32 {
        self.0.get(outcome).copied().unwrap_or(0)
    }

    /// Whether only this outcome was seen.
    fn all_are(&self, outcome: &str) -> bool {
        self.0.len() == 1 && self.0.contains_key(outcome)
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later
//! Runs the guests of a plan, several at a time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::guest_run;
use super::plan::{Plan, PlannedGuest};
use super::tree::Tree;
use crate::model::{Job, Outcome, Plugins, RunConfig, Scenario, Status, Suite};

/// Runs all guests; returns their outcomes in the order of the plan. Each guest gets a directory
/// under `logs`. A guest whose suite is missing in `trees` is not run.
pub(crate) fn run(plan: &Plan, trees: &BTreeMap<Suite, Tree>, logs: &Path) -> Vec<Outcome> {
    let queue = Mutex::new(plan.guests.iter().enumerate());
    let outcomes = Mutex::new(BTreeMap::new());
    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs {
            scope.spawn(|| {
                while let Some((number, guest)) = next() {
                    let tree = trees.get(&guest.config.suite);
                    let of_guest = run_guest(plan, guest, tree, |attempt| {
                        logs.join(format!("{:02}{attempt}-{}", number + 1, guest.config))
                    });
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.insert(number, of_guest);
                    }
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_default();
    outcomes.into_values().flatten().collect()
}

/// Runs one guest, and in some forms a second one for the scenarios that failed or that a dead
/// guest left out. `directory` names the directory of an attempt.
fn run_guest(
    plan: &Plan,
    guest: &PlannedGuest,
    tree: Option<&Tree>,
    directory: impl Fn(&str) -> PathBuf,
) -> Vec<Outcome> {
    let &PlannedGuest { config, .. } = guest;
    let Some(tree) = tree else {
        println!("NOT RUN {config}: no tree");
        return vec![Outcome {
            config,
            scenarios: guest.scenarios.clone(),
            records: Vec::new(),
        }];
    };
    let plugins = match config.plugins {
        Plugins::Upstream => None,
        Plugins::Ours => plan.plugins.directory(),
    };
    let prefix = prefix(config, plan.guests.len());
    let run = |scenarios: Vec<Scenario>, attempt| {
        let job = Job {
            config,
            effort: plan.form.effort(),
            scenarios,
        };
        guest_run::run(job, tree, plugins, &directory(attempt), &prefix)
    };
    let mut first = run(guest.scenarios.clone(), "");
    let (failed, good): (Vec<_>, Vec<_>) = first
        .scenarios
        .iter()
        .partition(|&&scenario| first.status(scenario) >= Status::NotRun);
    if failed.is_empty() || !plan.form.repeats_failures() {
        return vec![first];
    }
    let names: Vec<String> = failed.iter().map(Scenario::to_string).collect();
    println!("AGAIN {config}: {}", names.join(", "));
    first.scenarios = good;
    vec![first, run(failed, "b")]
}

/// The beginning of each line of a guest's timeline; empty if there is only one guest.
fn prefix(config: RunConfig, guests: usize) -> String {
    match guests {
        0 | 1 => String::new(),
        _ => format!("{config:31}"),
    }
}

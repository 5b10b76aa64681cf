// SPDX-License-Identifier: LGPL-2.0-or-later
//! The results for programs: one JSON object per line, for each configuration and scenario.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use super::statistics::{Durations, configs, distinct, durations, figures};
use crate::model::{Checker, Figure, Outcome, Plugins, RunConfig, Scenario, Suite};

#[derive(Serialize)]
struct Row {
    suite: Suite,
    checker: Checker,
    plugins: Plugins,
    scenario: Scenario,
    /// One per run.
    status: Vec<String>,
    /// One value per run that has it.
    milliseconds: BTreeMap<String, Vec<u64>>,
    /// The largest of all runs.
    figures: BTreeMap<Figure, u64>,
}

/// All rows as text.
///
/// # Errors
/// Never in practice; serialisation cannot fail for these types.
pub(crate) fn rows(outcomes: &[Outcome]) -> Result<String> {
    let mut text = String::new();
    for config in configs(outcomes) {
        let runs: Vec<&Outcome> = outcomes.iter().filter(|o| o.config == config).collect();
        let durations = durations(outcomes, config);
        for scenario in distinct(runs.iter().flat_map(|run| run.scenarios.iter().copied())) {
            let row = row(config, scenario, &runs, &durations);
            text.push_str(&serde_json::to_string(&row)?);
            text.push('\n');
        }
    }
    Ok(text)
}

fn row(config: RunConfig, scenario: Scenario, runs: &[&Outcome], durations: &Durations) -> Row {
    let runs = || runs.iter().filter(|run| run.scenarios.contains(&scenario));
    Row {
        suite: config.suite,
        checker: config.checker,
        plugins: config.plugins,
        scenario,
        status: runs().map(|run| run.status(scenario).to_string()).collect(),
        milliseconds: durations
            .iter()
            .filter(|((of, _), _)| *of == scenario)
            .map(|((_, interval), values)| (interval.to_string(), values.clone()))
            .collect(),
        figures: figures(runs().flat_map(|run| run.records_of(scenario))),
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later
//! The tables after a run: status, durations, figures.

use std::collections::BTreeMap;

use comfy_table::{Table, presets};

use super::statistics::{Durations, configs, distinct, durations, figures, median, seconds};
use crate::model::{Event, Figure, Outcome, RunConfig, Status, Suite};

/// All tables.
pub(crate) fn all(outcomes: &[Outcome]) -> String {
    let status = status_tables(outcomes);
    let durations = duration_tables(outcomes);
    format!("{status}{durations}{}", figure_table(outcomes))
}

/// A table per suite: the status for each scenario (row), and checker and plugins (column).
fn status_tables(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for (suite, outcomes) in by_suite(outcomes) {
        let configs = configs(outcomes.iter().copied());
        let mut table = table();
        let corner = [&[suite.to_string()][..], &versions(&outcomes)].concat();
        table.set_header(std::iter::once(corner.join("\n")).chain(configs.iter().map(column)));
        for scenario in distinct(outcomes.iter().flat_map(|o| o.scenarios.iter().copied())) {
            let cells = configs.iter().map(|&config| {
                let runs = outcomes
                    .iter()
                    .filter(|run| run.config == config && run.scenarios.contains(&scenario));
                worst(&runs.map(|run| run.status(scenario)).collect::<Vec<_>>())
            });
            table.add_row(std::iter::once(scenario.to_string()).chain(cells));
        }
        text.push_str(&format!("{table}\n\n"));
    }
    text
}

/// The worst status, with its count if the runs differ.
fn worst(runs: &[Status]) -> String {
    let Some(worst) = runs.iter().max() else {
        return String::new();
    };
    let count = runs.iter().filter(|status| *status == worst).count();
    if count == runs.len() {
        worst.to_string()
    } else {
        format!("{worst} {count}/{}", runs.len())
    }
}

/// The releases of multipath-tools in these guests.
fn versions(outcomes: &[&Outcome]) -> Vec<String> {
    let records = outcomes.iter().flat_map(|outcome| &outcome.records);
    let packages = records.filter_map(|record| match &record.event {
        Event::Tree { packages } => Some(packages),
        _ => None,
    });
    let found = packages.flatten().filter(|p| p.name == "multipath-tools");
    distinct(found.map(|package| package.version.clone()))
}

/// A table per suite: the median duration of all runs in seconds.
fn duration_tables(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for (suite, of_suite) in by_suite(outcomes) {
        let configs = configs(of_suite.iter().copied());
        let all: Vec<Durations> = configs
            .iter()
            .map(|&config| durations(outcomes, config))
            .collect();
        let mut table = table();
        let title = [suite.to_string(), "seconds".to_owned(), "runs".to_owned()];
        table.set_header(title.into_iter().chain(configs.iter().map(column)));
        let mut rows = distinct(all.iter().flat_map(|durations| durations.keys().copied()));
        rows.sort();
        for row in rows {
            let cells = || all.iter().map(|durations| durations.get(&row));
            let counts = || cells().flatten().map(Vec::len);
            let runs = match (counts().min(), counts().max()) {
                (Some(fewest), Some(most)) if fewest < most => format!("{fewest}-{most}"),
                (_, most) => most.unwrap_or_default().to_string(),
            };
            let medians = cells().map(|values| {
                let median = values.and_then(|values| median(values));
                median.map(seconds).unwrap_or_default()
            });
            let title = [row.0.to_string(), row.1.to_string(), runs];
            table.add_row(title.into_iter().chain(medians));
        }
        if !table.is_empty() {
            text.push_str(&format!("{table}\n\n"));
        }
    }
    text
}

/// The largest figures of all scenarios and runs of a configuration.
fn figure_table(outcomes: &[Outcome]) -> String {
    let mut table = table();
    let title = ["suite", "checker", "plugins"];
    table.set_header(title.into_iter().chain(Figure::ALL.map(Figure::title)));
    for config in configs(outcomes) {
        let runs = outcomes.iter().filter(|outcome| outcome.config == config);
        let largest = figures(runs.flat_map(|run| &run.records));
        let values = Figure::ALL.map(|figure| largest.get(&figure).map(u64::to_string));
        let title = [
            config.suite.to_string(),
            config.checker.to_string(),
            config.plugins.to_string(),
        ];
        table.add_row(
            title
                .into_iter()
                .chain(values.map(Option::unwrap_or_default)),
        );
    }
    table.to_string()
}

fn column(config: &RunConfig) -> String {
    format!("{}\n{}", config.checker, config.plugins)
}

fn by_suite(outcomes: &[Outcome]) -> BTreeMap<Suite, Vec<&Outcome>> {
    let mut suites: BTreeMap<Suite, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        suites
            .entry(outcome.config.suite)
            .or_default()
            .push(outcome);
    }
    suites
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_results_of_several_runs_are_counted() {
        assert_eq!(worst(&[]), "");
        assert_eq!(worst(&[Status::Passed, Status::Passed]), "ok");
        assert_eq!(
            worst(&[Status::Passed, Status::Failed, Status::Waited]),
            "FAILED 1/3"
        );
    }
}

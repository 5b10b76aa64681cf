//! The tables at the end: a mark per scenario and cell, the times, the daemon's figures.

use std::collections::BTreeMap;

use comfy_table::{Table, presets};

use crate::cell::{Cell, Outcome};
use crate::event::{Event, Figure, StepKind};
use crate::guest::SCENARIOS;
use crate::report::{Mark, mark, of_scenario};
use crate::tree::Suite;

/// A mark per scenario (row) and checker and plugins (column), one table per suite.
pub(crate) fn marks(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for suite in suites(outcomes) {
        let of_suite: Vec<&Outcome> = outcomes
            .iter()
            .filter(|outcome| outcome.cell.suite == suite)
            .collect();
        let cells = distinct(of_suite.iter().map(|outcome| &outcome.cell));
        let mut table = table();
        let corner = [&[suite.name().to_owned()][..], &versions(&of_suite)].concat();
        table.set_header(std::iter::once(corner.join("\n")).chain(cells.iter().map(column)));
        for scenario in distinct(of_suite.iter().flat_map(|outcome| &outcome.scenarios)) {
            let marks = cells.iter().map(|cell| {
                let runs = of_suite.iter().filter(|outcome| {
                    outcome.cell == *cell && outcome.scenarios.contains(&scenario)
                });
                worst(&runs.map(|run| mark(run, &scenario)).collect::<Vec<_>>())
            });
            table.add_row(std::iter::once(scenario.clone()).chain(marks));
        }
        text.push_str(&format!("{table}\n\n"));
    }
    text
}

/// The worst of the marks; how many there are of it if they differ.
fn worst(marks: &[Mark]) -> String {
    let Some(worst) = marks.iter().max() else {
        return String::new();
    };
    let count = marks.iter().filter(|mark| *mark == worst).count();
    if count == marks.len() {
        worst.word().to_owned()
    } else {
        format!("{} {count}/{}", worst.word(), marks.len())
    }
}

/// The releases of multipath-tools these guests had.
fn versions(outcomes: &[&Outcome]) -> Vec<String> {
    let packages = outcomes
        .iter()
        .flat_map(|outcome| &outcome.records)
        .filter_map(|record| match &record.event {
            Event::Tree { packages } => Some(packages),
            _ => None,
        });
    let found = packages
        .flatten()
        .filter(|(name, _)| name == "multipath-tools");
    distinct(found.map(|(_, version)| version))
}

fn column(cell: &Cell) -> String {
    format!("{}\n{}", cell.checker.name(), cell.whose.name())
}

/// What took how long, in seconds: the median of all runs of a cell.
pub(crate) fn times(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for suite in suites(outcomes) {
        let cells = distinct(
            outcomes
                .iter()
                .map(|o| &o.cell)
                .filter(|cell| cell.suite == suite),
        );
        let all: BTreeMap<&Cell, BTreeMap<(String, String), Vec<u64>>> = cells
            .iter()
            .map(|cell| (cell, durations(outcomes, cell)))
            .collect();
        let mut table = table();
        table.set_header(
            [suite.name(), "seconds", "runs"]
                .map(str::to_owned)
                .into_iter()
                .chain(cells.iter().map(column)),
        );
        let mut rows = distinct(all.values().flat_map(BTreeMap::keys));
        rows.sort_by_key(|(scenario, _)| SCENARIOS.iter().position(|s| s.name == scenario));
        for row in rows {
            let measured = |cell| all.get(cell).and_then(|rows| rows.get(&row));
            let counts = || cells.iter().filter_map(measured).map(Vec::len);
            let runs = match (counts().min(), counts().max()) {
                (Some(fewest), Some(most)) if fewest < most => format!("{fewest}-{most}"),
                (_, most) => most.unwrap_or_default().to_string(),
            };
            let values = cells.iter().map(|cell| {
                let median = measured(cell).and_then(|values| median(values));
                median.map(seconds).unwrap_or_default()
            });
            let title = [row.0.clone(), row.1.clone(), runs];
            table.add_row(title.into_iter().chain(values));
        }
        if !table.is_empty() {
            text.push_str(&format!("{table}\n\n"));
        }
    }
    text
}

/// The times of all runs of a cell: per scenario and kind the slowest path of each run.
pub(crate) fn durations(outcomes: &[Outcome], cell: &Cell) -> BTreeMap<(String, String), Vec<u64>> {
    let mut all: BTreeMap<(String, String), Vec<u64>> = BTreeMap::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.cell == *cell) {
        for scenario in &outcome.scenarios {
            let mut run: BTreeMap<String, u64> = BTreeMap::new();
            for record in of_scenario(&outcome.records, scenario) {
                let (what, ms) = match &record.event {
                    Event::Step {
                        kind: StepKind::Failed,
                        after,
                        ..
                    } => ("fault → failed", *after),
                    Event::Step {
                        kind: StepKind::Recovered,
                        after,
                        ..
                    } => ("release → recovered", *after),
                    Event::Took { what, ms, .. } => (what.as_str(), *ms),
                    _ => continue,
                };
                let slowest = run.entry(what.to_owned()).or_default();
                *slowest = ms.max(*slowest);
            }
            for (what, ms) in run {
                all.entry((scenario.clone(), what)).or_default().push(ms);
            }
        }
    }
    all
}

/// The daemon's figures: the largest of all scenarios and runs of a cell.
pub(crate) fn figures(outcomes: &[Outcome]) -> String {
    let mut table = table();
    table.set_header(
        ["suite", "checker", "plugins"]
            .into_iter()
            .chain(Figure::ALL.map(Figure::title)),
    );
    for cell in distinct(outcomes.iter().map(|outcome| &outcome.cell)) {
        let mut largest: BTreeMap<Figure, u64> = BTreeMap::new();
        for outcome in outcomes.iter().filter(|outcome| outcome.cell == cell) {
            for record in &outcome.records {
                if let Event::Figure { name, value } = record.event {
                    let figure = largest.entry(name).or_default();
                    *figure = value.max(*figure);
                }
            }
        }
        let values = Figure::ALL
            .iter()
            .map(|figure| largest.get(figure).map(u64::to_string).unwrap_or_default());
        let name = [cell.suite.name(), cell.checker.name(), cell.whose.name()];
        table.add_row(name.map(str::to_owned).into_iter().chain(values));
    }
    table.to_string()
}

/// The middle value; the lower one of two.
pub(crate) fn median(values: &[u64]) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

/// Milliseconds as seconds.
pub(crate) fn seconds(ms: u64) -> String {
    format!("{:.1}", ms as f64 / 1000.0)
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table
}

fn suites(outcomes: &[Outcome]) -> Vec<Suite> {
    distinct(outcomes.iter().map(|outcome| &outcome.cell.suite))
}

/// The distinct values in the order of their first appearance.
pub(crate) fn distinct<'a, T: Clone + PartialEq + 'a>(
    values: impl Iterator<Item = &'a T>,
) -> Vec<T> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(value) {
            seen.push(value.clone());
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_several_runs_are_told_apart() {
        assert_eq!(worst(&[]), "");
        assert_eq!(worst(&[Mark::Passed, Mark::Passed]), "ok");
        assert_eq!(
            worst(&[Mark::Passed, Mark::Failed, Mark::Waited]),
            "FAILED 1/3"
        );
    }

    #[test]
    fn the_median_is_a_value_that_was_measured() {
        assert_eq!(median(&[9, 1, 5]), Some(5));
        assert_eq!(median(&[2, 1]), Some(1));
        assert_eq!(median(&[]), None);
    }
}

//! The results for programs: one JSON object a line, per cell and scenario.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use crate::cell::{Cell, Outcome};
use crate::event::{Event, Figure};
use crate::report::{mark, of_scenario};
use crate::table::{distinct, durations};

#[derive(Serialize)]
struct Row<'a> {
    suite: &'a str,
    checker: &'a str,
    plugins: &'a str,
    scenario: &'a str,
    /// One per run.
    marks: Vec<&'a str>,
    /// What took how many milliseconds, one value per run that has it.
    milliseconds: BTreeMap<String, Vec<u64>>,
    /// The largest of all runs.
    figures: BTreeMap<Figure, u64>,
}

/// All rows as text.
pub(crate) fn rows(outcomes: &[Outcome]) -> Result<String> {
    let mut text = String::new();
    for cell in distinct(outcomes.iter().map(|outcome| &outcome.cell)) {
        let runs: Vec<&Outcome> = outcomes.iter().filter(|o| o.cell == cell).collect();
        let durations = durations(outcomes, &cell);
        for scenario in distinct(runs.iter().flat_map(|run| &run.scenarios)) {
            let milliseconds = durations
                .iter()
                .filter(|((of, _), _)| *of == scenario)
                .map(|((_, what), values)| (what.clone(), values.clone()));
            let row = row(&cell, &runs, &scenario, milliseconds.collect());
            text.push_str(&serde_json::to_string(&row)?);
            text.push('\n');
        }
    }
    Ok(text)
}

fn row<'a>(
    cell: &Cell,
    runs: &[&Outcome],
    scenario: &'a String,
    milliseconds: BTreeMap<String, Vec<u64>>,
) -> Row<'a> {
    let runs = || runs.iter().filter(|run| run.scenarios.contains(scenario));
    let mut figures: BTreeMap<Figure, u64> = BTreeMap::new();
    for record in runs().flat_map(|run| of_scenario(&run.records, scenario)) {
        if let Event::Figure { name, value } = record.event {
            let figure = figures.entry(name).or_default();
            *figure = value.max(*figure);
        }
    }
    Row {
        suite: cell.suite.name(),
        checker: cell.checker.name(),
        plugins: cell.whose.name(),
        scenario,
        marks: runs().map(|run| mark(run, scenario).word()).collect(),
        milliseconds,
        figures,
    }
}

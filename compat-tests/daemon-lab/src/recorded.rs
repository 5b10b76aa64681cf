//! Runs that were recorded earlier, read back: a matrix takes hours and may be played in pieces.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::cell::{Cell, Outcome, TIMELINE};
use crate::job::Job;
use crate::report::of_scenario;

/// The outcomes in these directories, each that of one guest or that of a call with all its guests.
/// They are in the order of the cells, as if one call had played them.
pub(crate) fn load(directories: &[PathBuf]) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for directory in directories {
        let mut guests = vec![directory.canonicalize()?];
        if !is_guest(directory) {
            guests = fs::read_dir(directory)?
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<_>>()?;
            guests.retain(|guest| is_guest(guest));
            guests.sort();
        }
        ensure!(!guests.is_empty(), "no runs in {}", directory.display());
        for guest in guests {
            outcomes.push(outcome(&guest).with_context(|| guest.display().to_string())?);
        }
    }
    outcomes.sort_by_key(|outcome| outcome.cell);
    fill_gaps(&mut outcomes);
    Ok(outcomes)
}

fn is_guest(directory: &Path) -> bool {
    directory.join(TIMELINE).is_file()
}

fn outcome(directory: &Path) -> Result<Outcome> {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let cell = name
        .split_once('-')
        .and_then(|(_, cell)| Cell::of_name(cell));
    // A run that was killed may have left half a line.
    let records = fs::read_to_string(directory.join(TIMELINE))?
        .lines()
        .map_while(|line| serde_json::from_str(line).ok())
        .collect();
    Ok(Outcome {
        cell: cell.context("not named after a cell")?,
        scenarios: Job::load(directory)?.scenarios,
        records,
    })
}

/// What an interrupted guest never came to is no gap where another run of its cell has it.
fn fill_gaps(outcomes: &mut [Outcome]) {
    let begun: Vec<(Cell, String)> = outcomes
        .iter()
        .flat_map(|outcome| {
            let begun = |name: &&String| !of_scenario(&outcome.records, name).is_empty();
            let begun = outcome.scenarios.iter().filter(begun);
            begun.map(|scenario| (outcome.cell, scenario.clone()))
        })
        .collect();
    for Outcome {
        cell,
        scenarios,
        records,
    } in outcomes
    {
        scenarios.retain(|scenario| {
            !of_scenario(records, scenario).is_empty()
                || !begun.contains(&(*cell, scenario.clone()))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Whose;
    use crate::event::{Event, Record};
    use crate::job::Checker;
    use crate::tree::Suite;

    fn run(played: &[&str]) -> Outcome {
        let begin = |scenario: &&str| Record {
            at: 0,
            event: Event::Begin {
                scenario: (*scenario).to_owned(),
            },
        };
        Outcome {
            cell: Cell {
                suite: Suite::Sid,
                checker: Checker::Tur,
                whose: Whose::C,
            },
            scenarios: ["offline", "hang", "stop"].map(str::to_owned).into(),
            records: played.iter().map(begin).collect(),
        }
    }

    #[test]
    fn a_gap_is_filled_by_another_run_only() {
        let mut runs = [run(&["offline"]), run(&["offline", "hang"])];
        fill_gaps(&mut runs);
        assert_eq!(runs[0].scenarios, ["offline", "stop"]);
        assert_eq!(runs[1].scenarios, ["offline", "hang", "stop"]);
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later
//! Reads the records of earlier runs. A matrix takes hours and may be run in parts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::guest_run::RECORDS;
use crate::model::{Job, Outcome, RunConfig, Scenario};

/// The outcomes in these directories, sorted by configuration. Each directory belongs to one guest,
/// or to a call with all its guests.
///
/// # Errors
/// When a directory has no run, or its job cannot be read.
pub(crate) fn load(directories: &[PathBuf]) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for directory in directories {
        let mut guests = vec![directory.clone()];
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
    outcomes.sort_by_key(|outcome| outcome.config);
    drop_covered_gaps(&mut outcomes);
    Ok(outcomes)
}

fn is_guest(directory: &Path) -> bool {
    directory.join(RECORDS).is_file()
}

fn outcome(directory: &Path) -> Result<Outcome> {
    let job = Job::load(directory)?;
    // The last line of a killed run may be incomplete.
    let records = fs::read_to_string(directory.join(RECORDS))?
        .lines()
        .map_while(|line| serde_json::from_str(line).ok())
        .collect();
    Ok(Outcome {
        config: job.config,
        scenarios: job.scenarios,
        records,
    })
}

/// Removes from an interrupted run the scenarios that it did not begin, if another run of the same
/// configuration began them.
fn drop_covered_gaps(outcomes: &mut [Outcome]) {
    let has_begun = |outcome: &Outcome, scenario| !outcome.records_of(scenario).is_empty();
    let begun: Vec<(RunConfig, Scenario)> = outcomes
        .iter()
        .flat_map(|outcome| {
            let all = outcome.scenarios.iter();
            let begun = all.filter(|&&scenario| has_begun(outcome, scenario));
            begun.map(|&scenario| (outcome.config, scenario))
        })
        .collect();
    for outcome in outcomes {
        let mut scenarios = std::mem::take(&mut outcome.scenarios);
        scenarios.retain(|&scenario| {
            has_begun(outcome, scenario) || !begun.contains(&(outcome.config, scenario))
        });
        outcome.scenarios = scenarios;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Checker, Event, Plugins, Record, Suite};

    fn interrupted(begun: &[Scenario]) -> Outcome {
        let begin = |&scenario: &Scenario| Record {
            at: 0,
            event: Event::Begin { scenario },
        };
        Outcome {
            config: RunConfig {
                suite: Suite::Sid,
                checker: Checker::Tur,
                plugins: Plugins::Upstream,
            },
            scenarios: vec![Scenario::Offline, Scenario::Hang, Scenario::Stop],
            records: begun.iter().map(begin).collect(),
        }
    }

    #[test]
    fn a_gap_is_covered_by_another_run_only() {
        let mut runs = [
            interrupted(&[Scenario::Offline]),
            interrupted(&[Scenario::Offline, Scenario::Hang]),
        ];
        drop_covered_gaps(&mut runs);
        let [first, second] = runs;
        assert_eq!(first.scenarios, [Scenario::Offline, Scenario::Stop]);
        let all = [Scenario::Offline, Scenario::Hang, Scenario::Stop];
        assert_eq!(second.scenarios, all);
    }
}

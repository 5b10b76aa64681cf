// SPDX-License-Identifier: LGPL-2.0-or-later

//! The survivors of a complete run of cargo-mutants, and those that are accepted with a reason.

use crate::list::{self, Mutant};
use harness::summary::Summary;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A survivor that is accepted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    mutant: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "survivor", default)]
    survivors: Vec<Accepted>,
}

/// What cargo-mutants writes into `outcomes.json`.
#[derive(Deserialize)]
struct Outcomes {
    outcomes: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    scenario: Scenario,
    summary: String,
    /// The file with the mutant's patch; the baseline has none.
    diff_path: Option<PathBuf>,
}

#[derive(Deserialize)]
enum Scenario {
    Baseline,
    Mutant(Box<Mutant>),
}

/// Compares the results in `folders` with `mutants-accepted.toml`.
pub(crate) fn run(folders: &[PathBuf]) -> Result<bool, String> {
    let mut results = BTreeMap::new();
    for folder in folders {
        results.extend(outcomes(folder)?);
    }
    let path = Path::new("mutants-accepted.toml");
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let file: File =
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for result in results.values() {
        *count.entry(result.as_str()).or_default() += 1;
    }
    let counts: Vec<String> = count
        .iter()
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    println!("{} mutants: {}", results.len(), counts.join(", "));
    let summary = judge(&results, &file);
    summary.print();
    Ok(summary.is_good())
}

/// The outcome of each mutant, by its name.
fn outcomes(folder: &Path) -> Result<BTreeMap<String, String>, String> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let path = folder.join("outcomes.json");
    let all: Outcomes = serde_json::from_str(&read(&path)?)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let mut mutants = Vec::new();
    for outcome in all.outcomes {
        if let (Scenario::Mutant(mut mutant), Some(diff)) = (outcome.scenario, outcome.diff_path) {
            mutant.diff = read(&folder.join(diff))?;
            mutant.summary = outcome.summary;
            mutants.push(*mutant);
        }
    }
    Ok(list::by_name(mutants)
        .into_iter()
        .map(|(name, mutant)| (name, mutant.summary))
        .collect())
}

/// Enters every mutant: survivors have to be those that are accepted, and no others.
fn judge(results: &BTreeMap<String, String>, file: &File) -> Summary {
    let mut summary = Summary::new();
    let accepted: BTreeSet<&str> = file
        .survivors
        .iter()
        .map(|survivor| survivor.mutant.as_str())
        .collect();
    for (name, result) in results {
        match (result.as_str(), accepted.contains(name.as_str())) {
            ("MissedMutant", false) => summary.failed(format!("{name}: survives")),
            ("MissedMutant", true) => {}
            (_, true) => summary.failed(format!(
                "{name}: is accepted, but does not survive ({result})"
            )),
            ("CaughtMutant" | "Timeout" | "Unviable", false) => summary.passed(1),
            (other, false) => summary.failed(format!("{name}: {other}")),
        }
    }
    for survivor in &file.survivors {
        if !results.contains_key(&survivor.mutant) {
            summary.failed(format!(
                "{}: is accepted, but does not exist",
                survivor.mutant
            ));
        } else if survivor.reason.trim().is_empty() {
            summary.failed(format!("{}: is accepted without a reason", survivor.mutant));
        }
    }
    if accepted.len() != file.survivors.len() {
        summary.failed("a survivor is accepted twice");
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(results: &[(&str, &str)], accepted: &[&str]) -> bool {
        let results = results
            .iter()
            .map(|(name, result)| ((*name).to_owned(), (*result).to_owned()))
            .collect();
        let survivors = accepted
            .iter()
            .map(|mutant| Accepted {
                mutant: (*mutant).to_owned(),
                reason: "equivalent".to_owned(),
            })
            .collect();
        judge(&results, &File { survivors }).is_good()
    }

    #[test]
    fn survivors_and_the_list_have_to_agree() {
        assert!(passes(&[("a", "CaughtMutant"), ("b", "Unviable")], &[]));
        assert!(passes(&[("a", "MissedMutant")], &["a"]));
        assert!(!passes(&[("a", "MissedMutant")], &[]));
        assert!(!passes(&[("a", "CaughtMutant")], &["a"]));
        assert!(!passes(&[("a", "CaughtMutant")], &["b"]));
        assert!(!passes(&[("a", "MissedMutant")], &["a", "a"]));
        assert!(!passes(&[("a", "Failure")], &[]));
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The selection of mutants that unit tests and differential suites must both notice.

use crate::list::{self, Mutant};
use harness::abi::Abi;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One selected mutant.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Selected {
    /// The checker whose plugin is built with it, by upstream's name.
    pub(crate) checker: String,
    /// Its name, as [`by_name`](crate::list::by_name) gives it.
    pub(crate) mutant: String,
    /// The host ABI in which the differential suite runs.
    pub(crate) abi: Abi,
    /// directio: the cases that are run. The other checkers run all of them.
    #[serde(default)]
    pub(crate) cases: Vec<String>,
    /// Whether verdicts are not enough, and the asynchronous protocol has to be compared as well.
    #[serde(default)]
    pub(crate) protocol: bool,
    /// Whether unit tests of the crate that has the file are to notice it. Not for code that only hosts
    /// reach.
    #[serde(default = "yes")]
    pub(crate) unit: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "mutant")]
    mutants: Vec<Selected>,
}

/// Reads the selection, with the mutant of each entry. An entry that names no mutant has none.
pub(crate) fn read(path: &Path) -> Result<Vec<(Selected, Option<Mutant>)>, String> {
    let place = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{place}: {error}"))?;
    let file: File = toml::from_str(&text).map_err(|error| format!("{place}: {error}"))?;
    let files: BTreeSet<String> = file
        .mutants
        .iter()
        .filter_map(|one| one.mutant.split_once(':'))
        .map(|(file, _)| file.to_owned())
        .filter(|file| Path::new(file).exists())
        .collect();
    let mut all: BTreeMap<String, Mutant> = list::of_files(&Vec::from_iter(files))?;
    Ok(file
        .mutants
        .into_iter()
        .map(|one| {
            let mutant = all.remove(&one.mutant);
            (one, mutant)
        })
        .collect())
}

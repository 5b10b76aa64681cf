// SPDX-License-Identifier: LGPL-2.0-or-later

//! The ledger of deliberate differences, `docs/differences.toml`.
//!
//! The differential suites ask which differences have to show in the host ABI they run in; the page
//! `docs/differences.md` is made from the same file.
#![forbid(unsafe_code)]

use crate::abi::{Abi, Release};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// All deliberate differences.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// In the order of the file.
    #[serde(rename = "difference")]
    pub differences: Vec<Difference>,
}

/// One deliberate difference. The texts are Markdown without line breaks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// The short name by which tests and pages refer to it.
    pub id: String,
    /// The checkers that differ, by upstream's names.
    pub checkers: Vec<String>,
    /// What upstream's checker does.
    #[serde(deserialize_with = "one_line")]
    pub upstream: String,
    /// What this project's checker does.
    #[serde(deserialize_with = "one_line")]
    pub ours: String,
    /// Why.
    #[serde(deserialize_with = "one_line")]
    pub reason: String,
    /// The first release of upstream that behaves so, if not every early one does.
    pub from: Option<Release>,
    /// The first release of upstream that does what ours does, if there is one.
    pub fixed_in: Option<Release>,
    /// Upstream's commit that came with `fixed_in`.
    pub commit: Option<String>,
    /// The tests.
    pub pinned_by: Vec<Pin>,
}

/// A test that fails when the difference is gone, or changes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "suite", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Pin {
    /// The differential suite for directio.
    Directio {
        /// The hosts in which the difference shows.
        abi: Vec<Abi>,
        /// Names of cases in which it shows.
        cases: Vec<String>,
        /// A remark.
        note: Option<String>,
    },
    /// The differential suite for the other checkers.
    Scsi {
        /// The hosts in which the difference shows; it shows in no other.
        abi: Vec<Abi>,
        /// In which cases it shows.
        cases: String,
    },
    /// Real daemons in guests.
    Lab {
        /// In which scenario.
        cases: String,
    },
    /// Tests of this workspace.
    Tests {
        /// Where they are.
        file: PathBuf,
        /// Their names, if the file has others beside them.
        #[serde(default)]
        tests: Vec<String>,
        /// A remark.
        note: Option<String>,
    },
}

/// A suite that compares this project's plugins with upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// The one for directio.
    Directio,
    /// The one for the other checkers.
    Scsi,
}

impl Ledger {
    /// Reads the ledger.
    ///
    /// # Errors
    /// Says which entry is wrong when the file cannot be read or contradicts itself: no entries, an id
    /// that occurs twice, an entry without checkers or tests, or an ABI whose compared release does
    /// not have the difference.
    pub fn read(path: &Path) -> Result<Ledger, String> {
        let place = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{place}: {error}"))?;
        Ledger::parse(&text).map_err(|error| format!("{place}: {error}"))
    }

    fn parse(text: &str) -> Result<Ledger, String> {
        let ledger: Ledger = toml::from_str(text).map_err(|error| error.to_string())?;
        if ledger.differences.is_empty() {
            return Err("there are no entries".to_owned());
        }
        let mut ids = BTreeSet::new();
        for difference in &ledger.differences {
            difference
                .validate()
                .map_err(|error| format!("{}: {error}", difference.id))?;
            if !ids.insert(&difference.id) {
                return Err(format!("{} occurs twice", difference.id));
            }
        }
        Ok(ledger)
    }

    /// The ids of the differences that have to show when a suite runs in a host of this ABI.
    pub fn pinned(&self, suite: Suite, abi: Abi) -> BTreeSet<String> {
        self.differences
            .iter()
            .filter(|difference| difference.pinned_by.iter().any(|pin| pin.shows(suite, abi)))
            .map(|difference| difference.id.clone())
            .collect()
    }

    /// Whether there is a difference of this id.
    pub fn contains(&self, id: &str) -> bool {
        self.differences.iter().any(|one| one.id == id)
    }
}

impl Difference {
    fn validate(&self) -> Result<(), String> {
        if self.checkers.is_empty() || self.pinned_by.is_empty() {
            return Err("there is no checker, or no test".to_owned());
        }
        if self.commit.is_some() && self.fixed_in.is_none() {
            return Err("there is a commit without the release that has it".to_owned());
        }
        for abi in self.pinned_by.iter().flat_map(|pin| pin.abis()) {
            let Some(release) = abi.compared_release() else {
                return Err(format!("no release is compared in hosts of ABI {abi}"));
            };
            if self.from.is_some_and(|from| release < from)
                || self.fixed_in.is_some_and(|fixed| release >= fixed)
            {
                return Err(format!("{release}, compared in ABI {abi}, behaves as ours"));
            }
        }
        Ok(())
    }
}

impl Pin {
    fn abis(&self) -> &[Abi] {
        match self {
            Pin::Directio { abi, .. } | Pin::Scsi { abi, .. } => abi,
            Pin::Lab { .. } | Pin::Tests { .. } => &[],
        }
    }

    fn shows(&self, suite: Suite, abi: Abi) -> bool {
        let here = match self {
            Pin::Directio { .. } => suite == Suite::Directio,
            Pin::Scsi { .. } => suite == Suite::Scsi,
            Pin::Lab { .. } | Pin::Tests { .. } => false,
        };
        here && self.abis().contains(&abi)
    }
}

fn one_line<'de, D: serde::Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let text = String::deserialize(source)?;
    if text.trim().is_empty() {
        return Err(serde::de::Error::custom("a text is empty"));
    }
    Ok(text.replace('\n', " "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    fn entry(id: &str, more: &str, pins: &str) -> String {
        format!(
            "[[difference]]\nid = \"{id}\"\ncheckers = [\"tur\"]\nupstream = '''a\nb'''\nours = 'c'\n\
             reason = 'd'\n{more}\npinned_by = [{pins}]\n"
        )
    }

    const SCSI: &str = "{ suite = 'scsi', abi = ['0.7.9', '0.15'], cases = 'x' }";

    #[test]
    fn entries_are_read_and_selected() {
        let directio = "{ suite = 'directio', abi = ['0.11'], cases = ['fork'] }";
        let text = entry("A1", "", SCSI) + &entry("A2", "from = '0.11.0'", directio);
        let ledger = Ledger::parse(&text).unwrap();
        let pinned =
            |suite, abi| -> Vec<String> { ledger.pinned(suite, abi).into_iter().collect() };
        assert_eq!(pinned(Suite::Scsi, Abi::V0_7_9), ["A1"]);
        assert_eq!(pinned(Suite::Directio, Abi::V0_11), ["A2"]);
        assert!(pinned(Suite::Scsi, Abi::V0_11).is_empty());
        assert!(ledger.contains("A2") && !ledger.contains("A3"));
        assert!(ledger.differences.iter().any(|one| one.upstream == "a b"));
    }

    #[test]
    fn bad_ledgers_are_refused() {
        for bad in [
            String::new(),
            "difference = []".to_owned(),
            entry("A1", "", SCSI) + &entry("A1", "", SCSI),
            entry("A1", "", ""),
            entry("A1", "unknown = 1", SCSI),
            entry("A1", "reason2 = ''", SCSI),
            entry("A1", "commit = '01234567'", SCSI),
            entry("A1", "from = '0.9.5'", SCSI),
            entry("A1", "fixed_in = '0.15.0'", SCSI),
            entry("A1", "", "{ suite = 'scsi', abi = ['0.14'], cases = 'x' }"),
            entry("A1", "", "{ suite = 'scsi', abi = ['B'], cases = 'x' }"),
            entry("A1", "", "{ suite = 'other', abi = [], cases = 'x' }"),
            entry("A1", "", SCSI).replace("'c'", "' '"),
        ] {
            assert!(Ledger::parse(&bad).is_err(), "{bad}");
        }
    }
}

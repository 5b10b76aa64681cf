// SPDX-License-Identifier: LGPL-2.0-or-later

//! The mutants that cargo-mutants can make, and how they are named here.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

/// A change of one place in one file.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Mutant {
    /// The package that has the file.
    pub(crate) package: String,
    /// The file, from the top directory on.
    pub(crate) file: PathBuf,
    span: Span,
    /// The change as a patch, whose second line says what it does. Results of a run do not have it.
    #[serde(default)]
    pub(crate) diff: String,
    /// Its outcome in a run, if there was one.
    #[serde(skip)]
    pub(crate) summary: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Span {
    start: Start,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Start {
    line: u32,
    column: u32,
}

impl Mutant {
    /// What is changed, without the place: `FILE: WHAT`.
    fn stable_name(&self) -> String {
        let what = self.diff.lines().find_map(|line| line.strip_prefix("+++ "));
        format!("{}: {}", self.file.display(), what.unwrap_or("unknown"))
    }

    /// The change as git understands it: both files have the same name.
    pub(crate) fn patch(&self) -> String {
        let file = self.file.display();
        let (_, lines) = self.diff.split_once("\n@@").unwrap_or_default();
        format!("--- a/{file}\n+++ b/{file}\n@@{lines}")
    }

    /// File, line and column, by which cargo-mutants sorts its list.
    fn position(&self) -> (PathBuf, Start) {
        (self.file.clone(), self.span.start)
    }
}

/// The mutants by names that stay when lines move: `FILE: WHAT`, and ` #2` and so on after the second mutant
/// of a file that would have the same name.
pub(crate) fn by_name(mut mutants: Vec<Mutant>) -> BTreeMap<String, Mutant> {
    mutants.sort_by_key(Mutant::position);
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    let mut named = BTreeMap::new();
    for mutant in mutants {
        let name = mutant.stable_name();
        let number = count.entry(name.clone()).or_default();
        *number += 1;
        let name = match *number {
            1 => name,
            number => format!("{name} #{number}"),
        };
        named.insert(name, mutant);
    }
    named
}

/// Asks cargo-mutants for the mutants of these files.
pub(crate) fn of_files(files: &[String]) -> Result<BTreeMap<String, Mutant>, String> {
    let mut command = Command::new("cargo");
    command.args([
        "mutants",
        "--list",
        "--json",
        "--diff",
        "--no-config",
        "--workspace",
    ]);
    for file in files {
        command.args(["--file", file]);
    }
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!(
            "cargo mutants --list: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    serde_json::from_slice(&output.stdout)
        .map(by_name)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    fn mutant(line: u32, what: &str) -> Mutant {
        serde_json::from_value(serde_json::json!({
            "package": "p", "file": "src/a.rs", "genre": "FnValue",
            "span": {"start": {"line": line, "column": 5}, "end": {"line": line, "column": 9}},
            "diff": format!("--- src/a.rs\n+++ {what}\n@@ -{line},1 +{line},1 @@\n-a\n+b\n"),
        }))
        .unwrap()
    }

    #[test]
    fn names_do_not_depend_on_lines() {
        let what = "replace f -> Result<A::B> with Ok(())";
        let named = by_name(vec![mutant(9, what), mutant(12, "other"), mutant(3, what)]);
        let lines: Vec<(&str, u32)> = named
            .iter()
            .map(|(name, mutant)| (name.as_str(), mutant.span.start.line))
            .collect();
        let name = format!("src/a.rs: {what}");
        let second = format!("{name} #2");
        let expected = [("src/a.rs: other", 12), (&name, 3), (&second, 9)];
        assert_eq!(lines, expected);
    }

    #[test]
    fn patches_name_the_file_twice() {
        let patch = mutant(3, "what").patch();
        assert_eq!(
            patch,
            "--- a/src/a.rs\n+++ b/src/a.rs\n@@ -3,1 +3,1 @@\n-a\n+b\n"
        );
    }
}

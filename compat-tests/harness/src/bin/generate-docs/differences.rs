// SPDX-License-Identifier: LGPL-2.0-or-later

//! The page of deliberate differences, one section per checker.

use harness::abi::Abi;
use harness::ledger::{Difference, Ledger, Pin};
use std::fmt::Write;
use std::path::Path;

const HEAD: &str = include_str!("differences-head.md");

const CHECKERS: [&str; 7] = [
    "directio",
    "tur",
    "readsector0",
    "rdac",
    "emc_clariion",
    "hp_sw",
    "cciss_tur",
];

const TABLE: &str = "\
| id | upstream | ours | why | upstream releases | pinned by |
|---|---|---|---|---|---|
";

/// Fails when a test that an entry names is not there, or an entry names an unknown checker.
pub(crate) fn check_files(ledger: &Ledger, top: &Path) -> Result<(), String> {
    for difference in &ledger.differences {
        let id = &difference.id;
        if let Some(unknown) = difference
            .checkers
            .iter()
            .find(|name| !CHECKERS.contains(&name.as_str()))
        {
            return Err(format!("{id}: there is no checker {unknown}"));
        }
        for pin in &difference.pinned_by {
            let Pin::Tests { file, tests, .. } = pin else {
                continue;
            };
            let text = std::fs::read_to_string(top.join(file))
                .map_err(|error| format!("{id}: {}: {error}", file.display()))?;
            if !text.contains("#[test]") && !text.contains("mod tests;") {
                return Err(format!("{id}: {} has no tests", file.display()));
            }
            for test in tests {
                if !text.contains(&format!("fn {test}(")) {
                    return Err(format!("{id}: {} has no test {test}", file.display()));
                }
            }
        }
    }
    Ok(())
}

/// The whole page.
pub(crate) fn page(ledger: &Ledger) -> String {
    let mut page = format!(
        "<!-- SPDX-License-Identifier: LGPL-2.0-or-later -->\n\
         <!-- Made by scripts/generate-docs from differences.toml: change that file instead. -->\n\n{HEAD}"
    );
    page.push_str("\n## By checker\n\n| checker | entries |\n|---|---|\n");
    for checker in CHECKERS {
        let ids: Vec<String> = ledger
            .differences
            .iter()
            .filter(|one| one.checkers.iter().any(|name| name == checker))
            .map(|one| format!("[{0}](#{0})", one.id))
            .collect();
        push(
            &mut page,
            format_args!("| {checker} | {} |\n", ids.join(", ")),
        );
    }
    section(&mut page, "Several checkers", ledger, |one| {
        one.checkers.len() > 1
    });
    for checker in CHECKERS {
        section(&mut page, checker, ledger, |one| {
            one.checkers.as_slice() == [checker]
        });
    }
    page
}

fn section(page: &mut String, name: &str, ledger: &Ledger, belongs: impl Fn(&Difference) -> bool) {
    let rows: Vec<&Difference> = ledger
        .differences
        .iter()
        .filter(|one| belongs(one))
        .collect();
    if rows.is_empty() {
        return;
    }
    push(page, format_args!("\n## {name}\n\n{TABLE}"));
    for row in rows {
        let checkers = match row.checkers.as_slice() {
            [_] => String::new(),
            all => format!("*{}*: ", checkers(all)),
        };
        push(
            page,
            format_args!(
                "| <a id=\"{0}\"></a>{0} | {checkers}{1} | {2} | {3} | {4} | {5} |\n",
                row.id,
                cell(&row.upstream),
                cell(&row.ours),
                cell(&row.reason),
                releases(row),
                pins(row),
            ),
        );
    }
}

/// Names of checkers; all but directio, or all, have a shorter name.
fn checkers(names: &[String]) -> String {
    match names.len() {
        7 => "all checkers".to_owned(),
        6 if !names.iter().any(|name| name == "directio") => "all but directio".to_owned(),
        _ => names.join(", "),
    }
}

fn releases(row: &Difference) -> String {
    let commit = row
        .commit
        .as_ref()
        .map_or(String::new(), |commit| format!(" ({commit})"));
    match (row.from, row.fixed_in) {
        (None, None) => String::new(),
        (Some(from), None) => format!("from {from}"),
        (None, Some(fixed)) => format!("before {fixed}{commit}"),
        (Some(from), Some(fixed)) => format!("from {from}, before {fixed}{commit}"),
    }
}

fn pins(row: &Difference) -> String {
    let all: Vec<String> = row.pinned_by.iter().map(pin).collect();
    all.join("; ")
}

fn pin(pin: &Pin) -> String {
    match pin {
        Pin::Directio { abi, cases, note } => {
            format!(
                "directio suite{}: {}{}",
                abis(abi),
                cases.join(", "),
                remark(note)
            )
        }
        Pin::Scsi { abi, cases } => format!("SCSI suite{}: {}", abis(abi), cell(cases)),
        Pin::Lab { cases } => format!("lab: {}", cell(cases)),
        Pin::Tests { file, tests, note } => {
            let mut text = format!("`{}`", file.display());
            for test in tests {
                push(&mut text, format_args!(", `{test}`"));
            }
            text + &remark(note)
        }
    }
}

fn abis(abis: &[Abi]) -> String {
    let names: Vec<&str> = abis.iter().map(|abi| abi.name()).collect();
    if names.is_empty() {
        return String::new();
    }
    format!(" ({})", names.join(", "))
}

fn remark(note: &Option<String>) -> String {
    note.as_ref()
        .map_or(String::new(), |note| format!(" ({})", cell(note)))
}

/// A text as it stands in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Writing to a `String` cannot fail.
fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = page.write_fmt(text);
}

//! The ledger of deliberate differences, read from `docs/differences.md`.
//!
//! Every row of its tables has five cells: id, what C does, what we do, since when or why, and the
//! test that pins it. A row that names `compat-directio` there must show in every full run.

use crate::{Doing, Result, Trouble};
use std::path::Path;

/// One deliberate difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The short name by which tests call it.
    pub id: String,
    /// The test that pins it.
    pub pinned_by: String,
}

/// Reads the ledger.
///
/// # Errors
/// When the file cannot be read, has no rows, or has two of the same id.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let text = std::fs::read_to_string(path).doing(&path.display().to_string())?;
    parse(&text)
}

fn parse(text: &str) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for line in text.lines() {
        let Some(inner) = line
            .trim()
            .strip_prefix('|')
            .and_then(|line| line.strip_suffix('|'))
        else {
            continue;
        };
        let cells: Vec<&str> = inner.split('|').map(str::trim).collect();
        let [id, _, _, _, pinned_by] = *cells.as_slice() else {
            return Err(Trouble::Broken(format!(
                "the ledger has a row of {} cells where five belong: {line}",
                cells.len()
            )));
        };
        if id == "id" || id.starts_with('-') {
            continue;
        }
        if rows.iter().any(|row| row.id == id) {
            return Err(Trouble::Broken(format!("the ledger has two rows {id}")));
        }
        rows.push(Row {
            id: id.to_owned(),
            pinned_by: pinned_by.to_owned(),
        });
    }
    if rows.is_empty() {
        return Err(Trouble::Broken("the ledger is empty".to_owned()));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_bad_ledgers_refused() {
        let head =
            "text\n\n| id | C does | we do | since, why | pinned by |\n|---|---|---|---|---|\n";
        let rows = parse(&format!("{head}| I4 | a | b | c | `compat-directio` x |\n")).unwrap();
        assert_eq!(
            rows,
            [Row {
                id: "I4".to_owned(),
                pinned_by: "`compat-directio` x".to_owned()
            }]
        );
        for bad in [
            String::new(),
            head.to_owned(),
            format!("{head}| I4 | a | b | c |\n"),
            format!("{head}| I4 | a | b | c | d |\n| I4 | a | b | c | d |\n"),
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }
}

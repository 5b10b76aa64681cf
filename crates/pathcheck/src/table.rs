//! The results as a table.
//!
//! Rows are printed as soon as they are known, in the order of the list, except that nothing is
//! printed for a moment at first: usually that is all it takes, and the rows come in one piece.

use crate::outcome::Outcome;
use crate::progress::Progress;
use crate::survey::{Display, Path};
use checkers_core::PathState;
use comfy_table::CellAlignment;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};

const HEADER: [&str; 6] = ["DEVICE", "KIND", "CHECKER", "STATE", "LATENCY", "MESSAGE"];

/// The widest state and latency there can be: what comes later does not move the columns.
const WIDEST: [&str; 6] = ["", "", "", "disconnected", "999.9 ms", ""];

/// The table, as far as it has been printed.
#[derive(Debug)]
pub(crate) struct Table {
    colour: bool,
    headed: bool,
    /// Which paths' rows have been printed.
    printed: Vec<bool>,
}

impl Table {
    pub(crate) fn new(paths: &[Path]) -> Table {
        Table {
            // https://no-color.org: set, and not to the empty string.
            colour: io::stdout().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            headed: false,
            printed: vec![false; paths.len()],
        }
    }

    /// Prints the rows that are known and have not been printed.
    fn print(&mut self, paths: &[Path]) -> io::Result<()> {
        // All rows are laid out each time, so that those printed now are in line with the others.
        let layout = layout(paths);
        let mut lines = layout.lines();
        let mut stdout = io::stdout().lock();
        let header = lines.next().unwrap_or_default();
        if !std::mem::replace(&mut self.headed, true) {
            writeln!(stdout, "{}", header.trim_end())?;
        }
        let rows = lines.skip(1).zip(paths).zip(&mut self.printed);
        for ((line, path), printed) in rows {
            if path.outcome.is_none() || std::mem::replace(printed, true) {
                continue;
            }
            let line = line.trim_end();
            match colour(path).filter(|_| self.colour) {
                Some(colour) => writeln!(stdout, "\x1b[{colour}m{line}\x1b[0m")?,
                None => writeln!(stdout, "{line}")?,
            }
        }
        stdout.flush()
    }
}

/// The header, a row of the widest cells, and a row for each path: a line each.
fn layout(paths: &[Path]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table
        .load_preset(comfy_table::presets::NOTHING)
        .add_row(HEADER)
        .add_row(WIDEST)
        .add_rows(paths.iter().map(row));
    for (column, title) in table.column_iter_mut().zip(HEADER) {
        column.set_padding((0, 2));
        if title == "LATENCY" {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

impl Display for Table {
    fn update(&mut self, paths: &[Path], progress: &mut Progress) -> io::Result<()> {
        if !progress.takes_long() {
            return Ok(());
        }
        let news = paths
            .iter()
            .zip(&self.printed)
            .any(|(path, shown)| path.outcome.is_some() && !shown);
        if news {
            progress.clear();
            self.print(paths)?;
        }
        progress.show(paths);
        Ok(())
    }

    fn finish(&mut self, paths: &[Path]) -> io::Result<()> {
        self.print(paths)?;
        writeln!(io::stdout(), "\n{}", summary(paths))
    }
}

fn row(path: &Path) -> [String; 6] {
    let kind = path
        .facts
        .as_ref()
        .map_or_else(String::new, |facts| match facts.partition {
            true => format!("{} partition", facts.kind),
            false => facts.kind.clone(),
        });
    let (state, latency, message) = match &path.outcome {
        Some(Outcome::Checked(finding)) => (
            finding.state().name(),
            finding.latency_us.map_or_else(|| "-".to_owned(), latency),
            finding.message.as_str(),
        ),
        Some(Outcome::Skipped(why)) => ("skipped", "-".to_owned(), why.as_str()),
        Some(Outcome::Failed(why)) => ("error", "-".to_owned(), why.as_str()),
        None => ("", String::new(), ""),
    };
    let kind = if kind.is_empty() {
        "-".to_owned()
    } else {
        kind
    };
    [
        path.name(),
        kind,
        path.job.checker.clone(),
        state.to_owned(),
        latency,
        message.to_owned(),
    ]
}

/// A time with three digits or so, in the unit that suits it.
fn latency(us: u64) -> String {
    let ms = us as f64 / 1e3;
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{ms:.2} ms"),
        10_000..1_000_000 => format!("{ms:.1} ms"),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

/// The colour of a row, as the number in its escape sequence. What is up has none.
fn colour(path: &Path) -> Option<u8> {
    const RED: u8 = 31;
    const YELLOW: u8 = 33;
    const DIM: u8 = 2;
    match &path.outcome {
        Some(Outcome::Checked(finding)) => match finding.state() {
            PathState::Up => None,
            PathState::Down | PathState::Timeout | PathState::Disconnected => Some(RED),
            _ => Some(YELLOW),
        },
        Some(Outcome::Skipped(_)) => Some(DIM),
        Some(Outcome::Failed(_)) | None => Some(RED),
    }
}

/// How many paths there are in each state.
fn summary(paths: &[Path]) -> String {
    let mut counts = BTreeMap::new();
    for path in paths {
        let (order, state) = match &path.outcome {
            Some(Outcome::Checked(finding)) if finding.state() == PathState::Up => (0, "up"),
            Some(Outcome::Checked(finding)) => (1, finding.state().name()),
            Some(Outcome::Failed(_)) | None => (2, "could not be checked"),
            Some(Outcome::Skipped(_)) => (3, "skipped"),
        };
        *counts.entry((order, state)).or_insert(0) += 1;
    }
    let counts: Vec<_> = counts
        .iter()
        .map(|((_, state), count)| format!("{count} {state}"))
        .collect();
    let noun = if paths.len() == 1 { "path" } else { "paths" };
    format!("{} {noun}: {}", paths.len(), counts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_have_three_digits_and_a_unit() {
        for (us, text) in [
            (0, "0 µs"),
            (87, "87 µs"),
            (999, "999 µs"),
            (1_234, "1.23 ms"),
            (56_789, "56.8 ms"),
            (999_900, "999.9 ms"),
            (12_345_678, "12.35 s"),
        ] {
            assert_eq!(latency(us), text);
            assert!(text.len() <= "999.9 ms".len() + 1, "µ takes two bytes");
        }
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The results as a table, in the order of the list.
//!
//! Usually all is known within a moment and the table comes in one piece. When it takes longer, each
//! row comes as soon as it is known, and a terminal gets the table anew in the end if that was out of
//! order.

use crate::choice::Choice;
use crate::device_info::DeviceInfo;
use crate::outcome::Outcome;
use crate::path::Path;
use crate::progress::Progress;
use crate::supervisor::Display;
use checkers_core::PathState;
use comfy_table::CellAlignment;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsRawFd;

const HEADER: [&str; 6] = ["DEVICE", "KIND", "CHECKER", "STATE", "LATENCY", "MESSAGE"];

/// The widest checker, state and latency there can be: what comes later does not move the columns.
const WIDEST: [&str; 6] = ["", "", "", "disconnected", "999.9 ms", ""];

/// The indentation of the line below a row, which has the reason.
const INDENT: &str = "    ";

/// The table, as far as it has been printed.
#[derive(Debug)]
pub(crate) struct Table {
    colour: bool,
    terminal: Option<Terminal>,
    headed: bool,
    /// Which paths' rows have been printed.
    printed: Vec<bool>,
}

/// A terminal that shows the table.
#[derive(Debug)]
struct Terminal {
    height: usize,
    width: usize,
    /// How many of its lines the table takes so far.
    lines: usize,
    /// A row was printed below one that comes after it.
    disordered: bool,
}

impl Table {
    pub(crate) fn new(paths: &[Path]) -> Table {
        let stdout = io::stdout();
        let size = kernel_fd::terminal_size(stdout.as_raw_fd());
        Table {
            // https://no-color.org: set, and not to the empty string.
            colour: stdout.is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            terminal: size.map(|(height, width)| Terminal {
                height: height.into(),
                width: width.into(),
                lines: 0,
                disordered: false,
            }),
            headed: false,
            printed: vec![false; paths.len()],
        }
    }

    /// Prints the rows that are known and have not been printed.
    fn print(&mut self, paths: &[Path]) -> io::Result<()> {
        // All rows are laid out each time, so that those printed now are in line with the others.
        let layout = layout(paths);
        let mut lines = layout.lines();
        let header = lines.next().unwrap_or_default();
        let rows: Vec<_> = lines.skip(1).zip(paths).enumerate().collect();
        let last_before = self.printed.iter().rposition(|printed| *printed);
        for (index, (row, path)) in rows {
            match &path.outcome {
                // The others need not wait.
                None | Some(Outcome::Skipped(_)) => continue,
                Some(_) => {}
            }
            let printed = self.printed.get_mut(index);
            if printed.is_none_or(|printed| std::mem::replace(printed, true)) {
                continue;
            }
            if let Some(terminal) = &mut self.terminal {
                terminal.disordered |= last_before.is_some_and(|last| last > index);
            }
            if !std::mem::replace(&mut self.headed, true) {
                self.line(&header, None)?;
            }
            let colour = colour(path).filter(|_| self.colour);
            self.line(&row, colour)?;
            let width = self.terminal.as_ref().map(|terminal| terminal.width);
            for line in why(path).map_or(Vec::new(), |why| wrap(why, width)) {
                self.line(&line, colour)?;
            }
        }
        io::stdout().flush()
    }

    fn line(&mut self, line: &str, colour: Option<u8>) -> io::Result<()> {
        let line = line.trim_end();
        if let Some(terminal) = &mut self.terminal {
            terminal.lines += line.chars().count().div_ceil(terminal.width).max(1);
        }
        match colour {
            Some(colour) => writeln!(io::stdout(), "\x1b[{colour}m{line}\x1b[0m"),
            None => writeln!(io::stdout(), "{line}"),
        }
    }

    /// Puts the rows in order where that can be done.
    fn reorder(&mut self, paths: &[Path]) -> io::Result<()> {
        let Some(terminal) = &mut self.terminal else {
            return Ok(());
        };
        // What has left the screen cannot be taken back.
        if !terminal.disordered || terminal.lines >= terminal.height {
            return Ok(());
        }
        write!(io::stdout(), "\x1b[{}A\x1b[J", terminal.lines)?;
        terminal.lines = 0;
        self.headed = false;
        self.printed.fill(false);
        self.print(paths)
    }
}

/// The device's last reply, for the line below a row.
fn why(path: &Path) -> Option<&str> {
    match &path.outcome {
        Some(Outcome::Checked(finding)) => finding.reason.as_ref().map(|why| why.text.as_str()),
        _ => None,
    }
}

/// The text in indented lines of at most this width, or in one.
fn wrap(text: &str, width: Option<usize>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = INDENT.to_owned();
    for word in text.split(' ') {
        let long =
            width.is_some_and(|width| line.chars().count() + 1 + word.chars().count() > width);
        if line != INDENT && long {
            lines.push(std::mem::replace(&mut line, INDENT.repeat(2)));
        } else if !line.trim().is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// The header, a row of the widest cells, and a row for each path: a line each. Rows that are not
/// shown are empty.
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
        let event = paths
            .iter()
            .zip(&self.printed)
            .any(|(path, printed)| path.outcome.is_some() && !printed);
        if event {
            progress.clear();
            self.print(paths)?;
        }
        progress.show(paths);
        Ok(())
    }

    fn finish(&mut self, paths: &[Path]) -> io::Result<()> {
        self.print(paths)?;
        self.reorder(paths)?;
        let mut stdout = io::stdout();
        if self.headed {
            writeln!(stdout)?;
        }
        writeln!(stdout, "{}", summary(paths))?;
        if let Some(skipped) = skipped(paths) {
            writeln!(stdout, "skipped: {skipped}")?;
        }
        choices(paths)
            .iter()
            .try_for_each(|choice| writeln!(stdout, "{choice}"))
    }
}

fn row(path: &Path) -> [String; 6] {
    let (state, latency, message) = match &path.outcome {
        Some(Outcome::Checked(finding)) => (
            finding.state().name(),
            finding.latency_us.map_or_else(|| "-".to_owned(), latency),
            finding.message.as_str(),
        ),
        Some(Outcome::Failed(why)) => ("error", "-".to_owned(), why.as_str()),
        Some(Outcome::Skipped(_)) => return [const { String::new() }; 6],
        None => ("", String::new(), ""),
    };
    let unknown = || "-".to_owned();
    [
        path.name(),
        path.info.as_ref().map_or_else(unknown, kind),
        path.choice().map_or_else(unknown, |choice| choice.checker),
        state.to_owned(),
        latency,
        message.to_owned(),
    ]
}

fn kind(info: &DeviceInfo) -> String {
    match info.partition {
        true => format!("{} partition", info.kind),
        false => info.kind.clone(),
    }
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

/// What was skipped and why, each kind together.
fn skipped(paths: &[Path]) -> Option<String> {
    let mut counts = BTreeMap::new();
    for path in paths {
        if let Some(Outcome::Skipped(why)) = &path.outcome {
            let kind = path.info.as_ref().map_or("", |info| info.kind.as_str());
            *counts.entry((kind, why)).or_insert(0) += 1;
        }
    }
    let counts = counts
        .iter()
        .map(|((kind, why), count)| format!("{count} {kind} ({why})"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    Some(counts).filter(|counts| !counts.is_empty())
}

/// Why the checkers of the rows were chosen, where that was not the user.
fn choices(paths: &[Path]) -> Vec<String> {
    let chosen = paths.iter().filter(|path| {
        path.job.options.checker.is_none() && !matches!(path.outcome, Some(Outcome::Skipped(_)))
    });
    let choices: BTreeSet<_> = chosen
        .filter_map(Path::choice)
        .map(|Choice { checker, reason }| format!("checker {checker}: {reason}"))
        .collect();
    choices.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Finding;
    use crate::protocol::{Job, Options};
    use std::sync::Arc;

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
    #[test]
    fn reasons_fit_the_terminal() {
        let text = "TEST UNIT READY: Not Ready: Logical unit not ready (02/04/00)";
        assert_eq!(wrap(text, None), [format!("    {text}")]);
        assert_eq!(
            wrap(text, Some(40)),
            [
                "    TEST UNIT READY: Not Ready: Logical",
                "        unit not ready (02/04/00)",
            ]
        );
        assert!(wrap(text, Some(40)).iter().all(|line| line.len() <= 40));
        // A word that does not fit stands alone.
        assert_eq!(
            wrap("aaa bbbbbbbbb c", Some(8)),
            ["    aaa", "        bbbbbbbbb", "        c"]
        );
    }

    /// Paths of the kernel's list with these kinds and outcomes.
    fn listed(outcomes: Vec<(&str, Outcome)>) -> Vec<Path> {
        let path = |(kind, outcome): (&str, Outcome)| {
            let mut path = Path::new(Job {
                device: "/dev/x".into(),
                options: Arc::default(),
            });
            path.info = Some(DeviceInfo {
                kind: kind.to_owned(),
                ..DeviceInfo::file(0)
            });
            path.outcome = Some(outcome);
            path
        };
        outcomes.into_iter().map(path).collect()
    }

    #[test]
    fn skipped_devices_are_counted_and_choices_told_once() {
        let up = || Outcome::Checked(Finding::new(PathState::Up, String::new()));
        let skipped_for = |why: &str| Outcome::Skipped(why.to_owned());
        let paths = listed(vec![
            ("scsi", up()),
            ("scsi", up()),
            ("loop", up()),
            ("loop", skipped_for("no file is attached")),
            ("loop", skipped_for("no file is attached")),
            ("dasd", skipped_for("its size is 0")),
        ]);
        assert_eq!(summary(&paths), "6 paths: 3 up, 3 skipped");
        assert_eq!(
            skipped(&paths).unwrap(),
            "1 dasd (its size is 0), 2 loop (no file is attached)"
        );
        assert_eq!(
            choices(&paths),
            [
                "checker directio: takes no SCSI commands, so it is asked to read",
                "checker tur: multipathd's default for SCSI",
            ]
        );
        let mut named = listed(vec![("scsi", up())]);
        named[0].job.options = Arc::new(Options {
            checker: Some("tur".to_owned()),
            ..Options::default()
        });
        assert!(skipped(&named).is_none() && choices(&named).is_empty());
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Results as tables.

#![forbid(unsafe_code)]

use crate::contender::Contender;
use crate::figure::{Figure, Spread, short};
use crate::results::Results;
use crate::targets::{Outcome, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// How a table is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Text,
    Markdown,
}

/// A table, whose first row is the heading.
pub(crate) fn table(rows: &[Vec<String>], style: Style) -> String {
    let count = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        match style {
            Style::Text => text += cells.join("  ").trim_end(),
            Style::Markdown => text += &format!("| {} |", cells.join(" | ")),
        }
        text.push('\n');
        if style == Style::Markdown && index == 0 {
            text += &format!("|{}\n", "---|".repeat(count));
        }
    }
    text
}

/// All numbers, a table for each checker, and the system calls of a check.
pub(crate) fn numbers(results: &Results) -> String {
    let mut text = String::new();
    for (name, value) in &results.head {
        text += &format!("{name}: {value}\n");
    }
    let checkers: BTreeSet<&String> = results.rows.keys().map(|(case, _)| &case.checker).collect();
    for checker in checkers {
        let rows = results.rows.iter();
        let rows: Vec<_> = rows
            .filter(|((case, figure), _)| {
                case.checker == *checker && !matches!(figure, Figure::SyscallsOf(_))
            })
            .collect();
        let columns: BTreeSet<Contender> = rows
            .iter()
            .flat_map(|(_, row)| row.keys().copied())
            .collect();
        let mut lines = vec![vec![checker.clone()]];
        for line in &mut lines {
            line.extend(columns.iter().map(Contender::to_string));
        }
        for ((case, figure), row) in rows {
            let cells = columns.iter().map(|contender| {
                let number = row.get(contender);
                number.map_or("–".to_owned(), Spread::to_string)
            });
            let name = format!("{}: {figure}", case.conditions());
            lines.push(std::iter::once(name).chain(cells).collect());
        }
        text += &format!("\n{}", table(&lines, Style::Text));
    }
    text + &syscalls(results)
}

fn syscalls(results: &Results) -> String {
    let mut calls = BTreeMap::<(String, Contender), Vec<String>>::new();
    for ((case, figure), row) in &results.rows {
        for (contender, spread) in row {
            let key = (case.checker.clone(), *contender);
            match figure {
                // No call at all, or several.
                Figure::Syscalls => drop(calls.entry(key).or_default()),
                Figure::SyscallsOf(name) => {
                    let call = format!("{name} {}", short(spread.median));
                    calls.entry(key).or_default().push(call);
                }
                _ => {}
            }
        }
    }
    let mut text = String::new();
    if !calls.is_empty() {
        text += "\nSystem calls of a check\n";
    }
    for ((checker, contender), names) in calls {
        let names = match names.is_empty() {
            true => "none".to_owned(),
            false => names.join(", "),
        };
        text += &format!("  {checker}, {contender}: {names}\n");
    }
    text
}

/// What is promised, the numbers and the verdicts.
pub(crate) fn promises(outcomes: &[Outcome], style: Style) -> String {
    let heading = [
        "figure",
        "ABI",
        "ours",
        "upstream",
        "lower bound",
        "promise",
        "measured",
        "",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let number = |number: Option<f64>| number.map_or("–".to_owned(), short);
    for outcome in outcomes {
        let target = &outcome.target;
        rows.push(vec![
            target.subject(),
            target.abi.to_string(),
            number(outcome.ours),
            number(outcome.upstream),
            number(outcome.lower_bound),
            target.promise(),
            number(outcome.ratio),
            outcome.verdict.to_string(),
        ]);
    }
    let count = |wanted: fn(Verdict) -> bool| {
        let verdicts = outcomes.iter().map(|outcome| outcome.verdict);
        verdicts.filter(|verdict| wanted(*verdict)).count()
    };
    format!(
        "{}\n{} met, {} missed, {} not measured\n",
        table(&rows, style),
        count(|verdict| verdict == Verdict::Met),
        count(Verdict::is_missed),
        count(|verdict| verdict == Verdict::NotMeasured)
    )
}

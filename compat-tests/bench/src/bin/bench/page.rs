// SPDX-License-Identifier: LGPL-2.0-or-later

//! The part of docs/performance.md that is printed from results, and the check that the page holds it.

#![forbid(unsafe_code)]

use crate::results::Results;
use crate::tables::{self, Style};
use crate::targets;
use harness::{Doing, Result, Trouble};
use std::collections::BTreeMap;
use std::path::Path;

const BEGIN: &str = "<!-- Printed by scripts/bench --markdown. -->\n";
const END: &str = "<!-- End of what scripts/bench --markdown prints. -->\n";

/// Units of measured numbers. Outside of the printed part a page has none.
const UNITS: [&str; 4] = ["µs", "ms", "bytes", "%"];

/// The printed part.
///
/// # Errors
/// When a missed promise has no reason in targets.csv.
pub(crate) fn printed(results: &Results) -> Result<String> {
    let mut text = format!("{BEGIN}\n");
    for (name, value) in &results.head {
        text += &format!("* {name}: {value}\n");
    }
    let outcomes = targets::outcomes(results)?;
    text += &format!("\n{}\n", tables::promises(&outcomes, Style::Markdown));
    let mut reasons = BTreeMap::<&str, Vec<String>>::new();
    let missed = outcomes
        .iter()
        .filter(|outcome| outcome.verdict.is_missed());
    let mut unexplained = Vec::new();
    for target in missed.map(|outcome| &outcome.target) {
        if target.why.is_empty() {
            unexplained.push(format!("{}, {}", target.subject(), target.promise()));
        }
        let what = format!("{} ({})", target.subject(), target.abi);
        let all = reasons.entry(&target.why).or_default();
        if !all.contains(&what) {
            all.push(what);
        }
    }
    if !unexplained.is_empty() {
        return Err(Trouble::Broken(format!(
            "targets.csv gives no reason for what is missed:\n{}",
            unexplained.join("\n")
        )));
    }
    text += "Missed, and why:\n\n";
    for (why, what) in reasons {
        text += &format!("* {}. {why}\n", what.join("; "));
    }
    Ok(format!("{text}\n{END}"))
}

/// What stands before and behind the printed part of a page.
fn around(page: &str) -> Result<(&str, &str)> {
    let split = page.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    split.ok_or_else(|| Trouble::Broken(format!("the page has no {BEGIN:?} and {END:?}")))
}

/// Puts the printed part of these results into a page.
pub(crate) fn update(results: &Results, path: &Path) -> Result<()> {
    let name = path.display().to_string();
    let page = std::fs::read_to_string(path).doing(&name)?;
    let (before, after) = around(&page)?;
    let printed = printed(results)?;
    std::fs::write(path, format!("{before}{printed}{after}")).doing(&name)
}

/// Whether a page holds exactly the printed part of these results, and no measured number besides.
///
/// # Errors
/// The first line that differs.
pub(crate) fn check(results: &Results, path: &Path) -> Result<()> {
    let page = std::fs::read_to_string(path).doing(&path.display().to_string())?;
    check_text(&printed(results)?, &page)
}

fn check_text(printed: &str, page: &str) -> Result<()> {
    let (before, after) = around(page)?;
    let prose = before.lines().chain(after.lines());
    if let Some(line) = prose.clone().find(|line| has_number_with_unit(line)) {
        return Err(Trouble::Broken(format!(
            "a number that no command prints: {line:?}"
        )));
    }
    let end = page.len() - after.len();
    let held = page.get(before.len()..end).unwrap_or_default();
    let mut lines = held.lines();
    for wanted in printed.lines() {
        let found = lines.next().unwrap_or_default();
        if found != wanted {
            return Err(Trouble::Broken(format!(
                "the page says   {found:?}\nthe results say {wanted:?}"
            )));
        }
    }
    match lines.next() {
        None => Ok(()),
        Some(line) => Err(Trouble::Broken(format!("the page says more: {line:?}"))),
    }
}

fn has_number_with_unit(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.windows(2).any(|pair| match pair {
        [number, unit] => {
            let unit = unit
                .trim_end_matches(|letter: char| letter.is_ascii_punctuation() && letter != '%');
            number.parse::<f64>().is_ok() && UNITS.contains(&unit)
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_what_is_printed_and_no_other_number() {
        let printed = format!("{BEGIN}a\nb\n{END}");
        let page = |prose: &str, printed: &str| format!("# Title\n{prose}\n{printed}end\n");
        let good = page("It sleeps 5 times.", &printed);
        assert_eq!(check_text(&printed, &good), Ok(()));
        for bad in [
            page("It sleeps 5 ms.", &printed),
            page("12 % hang", &printed),
            page("", &printed.replace("a\n", "c\n")),
            page("", &printed.replace("b\n", "")),
            page("", &printed.replace("b\n", "b\nc\n")),
            page("", "a\nb\n"),
        ] {
            assert!(check_text(&printed, &bad).is_err(), "{bad}");
        }
    }
}

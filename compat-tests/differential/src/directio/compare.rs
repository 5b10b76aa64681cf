//! Compares what two sides of a scenario did, step by step and fact by fact.

use crate::directio::runner::{End, Transcript};
use crate::directio::wire::{Difference, Step};
use std::collections::BTreeMap;

/// The ledger's row for the levels of four log lines, which 0.9.7 lowered. It is the one difference
/// that a scenario need not announce: it is everywhere.
pub const LEVELS: &str = "G1";

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// How many steps were compared.
    pub steps: usize,
    /// How many further steps only our side went, checked against the scenario's expectations.
    pub alone: usize,
    /// What must not be.
    pub mismatches: Vec<String>,
    /// How often each row of the ledger was seen.
    pub rows: BTreeMap<String, usize>,
    /// Why the scenario did not run, if it did not.
    pub not_run: Option<String>,
}

/// What each side is called in reports.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The side of the C plugin.
    pub c: &'a str,
    /// The other side.
    pub ours: &'a str,
}

/// The C plugin's log with the levels that the lines have since 0.9.7.
fn newer_levels(log: &str) -> String {
    let lowered = [
        "3 directio: starting new request",
        "3 directio: io finished ",
        "3 directio: async io pending",
        "3 directio: async io getevents returned ",
    ];
    log.lines()
        .map(|line| {
            if lowered.iter().any(|start| line.starts_with(start)) {
                format!("4{}", line.get(1..).unwrap_or_default())
            } else {
                line.to_owned()
            }
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// What one side alone shows to be wrong.
fn inspect(name: &str, transcript: &Transcript, into: &mut Comparison) {
    for (index, step) in transcript.steps.iter().enumerate() {
        for why in &step.wrong {
            into.mismatches
                .push(format!("step {index}, {}: {name}: {why}", step.label));
        }
    }
    match &transcript.end {
        End::Done => {}
        End::NotHere(why) => into.not_run = Some(why.clone()),
        End::Broken(why) => into.mismatches.push(format!("{name}: {why}")),
        End::Died { during, how } => into
            .mismatches
            .push(format!("{name}: the host ended during {during:?}: {how}")),
    }
    if !into.mismatches.is_empty() && !transcript.remarks.is_empty() {
        into.mismatches.push(format!(
            "{name} wrote to standard error: {}",
            transcript.remarks.trim_end()
        ));
    }
}

/// Judges our side where it runs without a counterpart, by the scenario's expectations alone: among
/// them our part of the differences that the ledger allows.
pub fn alone(name: &str, transcript: &Transcript) -> Comparison {
    let mut result = Comparison {
        alone: transcript.steps.len(),
        ..Comparison::default()
    };
    inspect(name, transcript, &mut result);
    for (index, step) in transcript.steps.iter().enumerate() {
        for allowed in &step.differences {
            let seen = step.fact(&allowed.fact).unwrap_or("not recorded");
            if seen == allowed.ours {
                *result.rows.entry(allowed.row.clone()).or_default() += 1;
            } else {
                result.mismatches.push(format!(
                    "step {index}, {}: {}: ledger row {} says {:?} of {name}, but it is {seen:?}",
                    step.label, allowed.fact, allowed.row, allowed.ours
                ));
            }
        }
    }
    result
}

/// Compares both sides. `same` says that both are the same plugin, so that no difference is allowed
/// and none of the ledger can show.
pub fn compare(names: Names<'_>, c: &Transcript, ours: &Transcript, same: bool) -> Comparison {
    let mut result = Comparison::default();
    inspect(names.c, c, &mut result);
    inspect(names.ours, ours, &mut result);
    if result.not_run.is_some() && result.mismatches.is_empty() {
        return result;
    }
    let mut theirs = c.steps.iter();
    for (index, step) in ours.steps.iter().enumerate() {
        let Some(other) = theirs.next() else {
            if step.alone {
                result.alone += 1;
                continue;
            }
            result.mismatches.push(format!(
                "step {index}, {}: {} ends before it",
                step.label, names.c
            ));
            break;
        };
        if other.label != step.label {
            result.mismatches.push(format!(
                "step {index}: {} does {:?}, {} does {:?}",
                names.c, other.label, names.ours, step.label
            ));
            break;
        }
        result.steps += 1;
        compare_step(names, index, other, step, same, &mut result);
    }
    if let Some(step) = theirs.next() {
        result
            .mismatches
            .push(format!("{} ends before {:?}", names.ours, step.label));
    }
    result
}

fn compare_step(
    names: Names<'_>,
    index: usize,
    c: &Step,
    ours: &Step,
    same: bool,
    result: &mut Comparison,
) {
    let place = format!("step {index}, {}", c.label);
    let mut names_seen: Vec<&str> = c.facts.iter().map(|(name, _)| name.as_str()).collect();
    for (name, _) in &ours.facts {
        if !names_seen.contains(&name.as_str()) {
            names_seen.push(name);
        }
    }
    for name in names_seen {
        let theirs = c.fact(name).unwrap_or("not recorded");
        let mine = ours.fact(name).unwrap_or("not recorded");
        let allowed = c.differences.iter().find(|one| one.fact == name);
        if let Some(allowed) = allowed {
            let place = format!("{place}: {name}");
            compare_allowed(names, &place, allowed, [theirs, mine], same, result);
        } else if theirs == mine {
        } else if name == "log" && !same && newer_levels(theirs) == mine {
            *result.rows.entry(LEVELS.to_owned()).or_default() += 1;
        } else {
            result.mismatches.push(format!(
                "{place}: {name}:\n      {}: {theirs:?}\n      {}: {mine:?}",
                names.c, names.ours
            ));
        }
    }
}

/// Compares a fact that may differ in one way only, and then must.
fn compare_allowed(
    names: Names<'_>,
    place: &str,
    allowed: &Difference,
    [theirs, mine]: [&str; 2],
    same: bool,
    result: &mut Comparison,
) {
    let row = &allowed.row;
    if theirs != allowed.c {
        result.mismatches.push(format!(
            "{place}: ledger row {row} says {:?} of {}, but it is {theirs:?}",
            allowed.c, names.c
        ));
    }
    let expected = if same { &allowed.c } else { &allowed.ours };
    if mine == expected {
        if !same {
            *result.rows.entry(row.clone()).or_default() += 1;
        }
    } else if mine == theirs {
        result.mismatches.push(format!(
            "{place}: ledger row {row} is out of date: both are {theirs:?}"
        ));
    } else {
        result.mismatches.push(format!(
            "{place}: ledger row {row} says {expected:?} of {}, but it is {mine:?}",
            names.ours
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names<'_> = Names { c: "C", ours: "R" };

    fn step(label: &str, facts: &[(&str, &str)]) -> Step {
        Step {
            label: label.to_owned(),
            facts: facts
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Step::default()
        }
    }

    fn transcript(steps: Vec<Step>) -> Transcript {
        Transcript {
            steps,
            end: End::Done,
            remarks: String::new(),
        }
    }

    fn differing(row: &str, c: &str, ours: &str, step: Step) -> Step {
        Step {
            differences: vec![Difference {
                row: row.to_owned(),
                fact: "returned".to_owned(),
                c: c.to_owned(),
                ours: ours.to_owned(),
            }],
            ..step
        }
    }

    #[test]
    fn equal_sides_agree_and_unequal_ones_do_not() {
        let one = |state| transcript(vec![step("check", &[("returned", state)])]);
        let good = compare(NAMES, &one("up"), &one("up"), false);
        assert_eq!((good.steps, good.mismatches.len()), (1, 0));
        for same in [false, true] {
            let bad = compare(NAMES, &one("up"), &one("down"), same);
            assert_eq!(bad.mismatches.len(), 1);
        }
    }

    #[test]
    fn a_missing_or_further_step_or_fact_is_a_mismatch() {
        let short = transcript(vec![step("a", &[])]);
        let long = transcript(vec![step("a", &[]), step("b", &[])]);
        let other = transcript(vec![step("c", &[])]);
        let fact = transcript(vec![step("a", &[("x", "1")])]);
        for (c, ours) in [
            (&short, &long),
            (&long, &short),
            (&short, &other),
            (&short, &fact),
            (&fact, &short),
        ] {
            assert_eq!(compare(NAMES, c, ours, false).mismatches.len(), 1);
        }
        let mut further = long.clone();
        if let Some(last) = further.steps.last_mut() {
            last.alone = true;
        }
        let fine = compare(NAMES, &short, &further, false);
        assert_eq!((fine.mismatches.len(), fine.alone), (0, 1));
    }

    #[test]
    fn an_allowed_difference_must_show_exactly_as_written() {
        let run = |c, ours, same| {
            let side = |state| {
                transcript(vec![differing(
                    "I4",
                    "down",
                    "up",
                    step("check", &[("returned", state)]),
                )])
            };
            let result = compare(NAMES, &side(c), &side(ours), same);
            (result.mismatches.len(), result.rows.get("I4").copied())
        };
        assert_eq!(run("down", "up", false), (0, Some(1)));
        assert_eq!(run("down", "down", false), (1, None));
        assert_eq!(run("down", "pending", false), (1, None));
        assert_eq!(run("up", "up", false), (1, Some(1)));
        assert_eq!(run("down", "down", true), (0, None));
        assert_eq!(run("down", "up", true), (1, None));
    }

    #[test]
    fn lower_log_levels_are_a_row_of_their_own() {
        let side = |log| transcript(vec![step("check", &[("log", log)])]);
        let old = side("4 directio: called\n3 directio: starting new request");
        let new = side("4 directio: called\n4 directio: starting new request");
        let result = compare(NAMES, &old, &new, false);
        assert_eq!(result.mismatches.len(), 0);
        assert_eq!(result.rows.get(LEVELS), Some(&1));
        assert_eq!(compare(NAMES, &old, &new, true).mismatches.len(), 1);
        assert_eq!(compare(NAMES, &new, &old, false).mismatches.len(), 1);
    }

    #[test]
    fn what_one_side_shows_to_be_wrong_counts() {
        let mut bad = step("check", &[]);
        bad.wrong.push("bytes were changed".to_owned());
        let bad = transcript(vec![bad]);
        let good = transcript(vec![step("check", &[])]);
        assert_eq!(compare(NAMES, &good, &bad, false).mismatches.len(), 1);
        assert_eq!(compare(NAMES, &bad, &good, false).mismatches.len(), 1);
        assert_eq!(alone("R", &bad).mismatches.len(), 1);
        let pinned = |state| {
            let step = step("check", &[("returned", state)]);
            transcript(vec![differing("I4", "down", "up", step)])
        };
        assert_eq!(alone("R", &pinned("up")).mismatches.len(), 0);
        assert_eq!(alone("R", &pinned("down")).mismatches.len(), 1);
        let died = Transcript {
            steps: Vec::new(),
            end: End::Died {
                during: "reset".to_owned(),
                how: "signal 11".to_owned(),
            },
            remarks: String::new(),
        };
        assert_eq!(alone("R", &died).mismatches.len(), 1);
    }

    #[test]
    fn what_cannot_run_here_is_not_a_success() {
        let absent = Transcript {
            steps: Vec::new(),
            end: End::NotHere("no FUSE".to_owned()),
            remarks: String::new(),
        };
        let result = compare(NAMES, &absent, &absent, false);
        assert_eq!(result.not_run.as_deref(), Some("no FUSE"));
        assert!(result.mismatches.is_empty());
    }
}

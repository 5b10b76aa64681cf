// SPDX-License-Identifier: LGPL-2.0-or-later

//! Compares what two sides of a scenario did, step by step and observation by observation.
#![forbid(unsafe_code)]

use super::observation::{Difference, Observation, Step};
use super::runner::{End, Transcript};
use harness::Trouble;
use harness::side::Side;
use std::collections::BTreeMap;

/// The ledger's entry for the levels of four log records, which 0.9.7 lowered. It is the one
/// difference that a scenario need not announce: it is everywhere.
pub(crate) const LEVELS: &str = "G1";

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// How many steps were compared.
    pub(crate) steps: usize,
    /// How many further steps only our side took, checked against the scenario's expectations.
    pub(crate) alone: usize,
    /// What must not be.
    pub(crate) mismatches: Vec<String>,
    /// How often each entry of the ledger was seen.
    pub(crate) differences: BTreeMap<String, usize>,
    /// Why the scenario did not run, if it did not.
    pub(crate) not_run: Option<String>,
}

impl Comparison {
    fn saw(&mut self, id: &str) {
        *self.differences.entry(id.to_owned()).or_default() += 1;
    }
}

/// What each side is called in reports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    /// The side of upstream's plugin.
    pub(crate) upstream: &'a str,
    /// The other side.
    pub(crate) ours: &'a str,
}

fn text(observation: Option<&Observation>) -> String {
    observation.map_or("not recorded".to_owned(), Observation::to_string)
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
        End::Ended(Ok(())) => {}
        End::Ended(Err(Trouble::NotHere(why))) => into.not_run = Some(why.clone()),
        End::Ended(Err(trouble)) => into.mismatches.push(format!("{name}: {trouble}")),
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

/// Checks our side where it runs without a counterpart, by the scenario's expectations alone: among
/// them our part of the differences that the ledger allows.
pub(crate) fn alone(name: &str, transcript: &Transcript) -> Comparison {
    let mut result = Comparison {
        alone: transcript.steps.len(),
        ..Comparison::default()
    };
    inspect(name, transcript, &mut result);
    for (index, step) in transcript.steps.iter().enumerate() {
        for allowed in &step.differences {
            let seen = step.like(&allowed.ours);
            if seen == Some(&allowed.ours) {
                result.saw(&allowed.id);
            } else {
                result.mismatches.push(format!(
                    "step {index}, {}: {}: {} says {} of {name}, but it is {}",
                    step.label,
                    allowed.ours.name(),
                    allowed.id,
                    allowed.ours,
                    text(seen)
                ));
            }
        }
    }
    result
}

/// Compares both sides. `same` says that both are the same plugin, so that no difference is allowed
/// and none of the ledger can show.
pub(crate) fn compare(
    names: Names<'_>,
    upstream: &Transcript,
    ours: &Transcript,
    same: bool,
) -> Comparison {
    let mut result = Comparison::default();
    inspect(names.upstream, upstream, &mut result);
    inspect(names.ours, ours, &mut result);
    if result.not_run.is_some() && result.mismatches.is_empty() {
        return result;
    }
    let mut theirs = upstream.steps.iter();
    for (index, step) in ours.steps.iter().enumerate() {
        let Some(other) = theirs.next() else {
            if step.alone {
                result.alone += 1;
                continue;
            }
            result.mismatches.push(format!(
                "step {index}, {}: {} ends before it",
                step.label, names.upstream
            ));
            break;
        };
        if other.label != step.label {
            result.mismatches.push(format!(
                "step {index}: {} does {:?}, {} does {:?}",
                names.upstream, other.label, names.ours, step.label
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
    upstream: &Step,
    ours: &Step,
    same: bool,
    result: &mut Comparison,
) {
    let place = format!("step {index}, {}", upstream.label);
    let further = ours
        .observed
        .iter()
        .filter(|observation| upstream.like(observation).is_none());
    for observation in upstream.observed.iter().chain(further) {
        let place = format!("{place}: {}", observation.name());
        let (theirs, mine) = (upstream.like(observation), ours.like(observation));
        let mut differences = upstream.differences.iter();
        if let Some(allowed) = differences.find(|one| one.upstream.is_like(observation)) {
            compare_allowed(names, &place, allowed, [theirs, mine], same, result);
        } else if theirs == mine {
        } else if !same && differ_in_levels(theirs, mine) {
            result.saw(LEVELS);
        } else {
            result.mismatches.push(format!(
                "{place}:\n      {}: {}\n      {}: {}",
                names.upstream,
                text(theirs),
                names.ours,
                text(mine)
            ));
        }
    }
}

/// Whether two logs differ in nothing but the levels that 0.9.7 has lowered.
fn differ_in_levels(upstream: Option<&Observation>, ours: Option<&Observation>) -> bool {
    match (upstream, ours) {
        (Some(Observation::Log(old)), Some(Observation::Log(new))) => {
            old.with_newer_levels() == *new
        }
        _ => false,
    }
}

/// Compares an observation that may differ in one way only, and then must.
fn compare_allowed(
    names: Names<'_>,
    place: &str,
    allowed: &Difference,
    [theirs, mine]: [Option<&Observation>; 2],
    same: bool,
    result: &mut Comparison,
) {
    let id = &allowed.id;
    if theirs != Some(&allowed.upstream) {
        result.mismatches.push(format!(
            "{place}: {id} says {} of {}, but it is {}",
            allowed.upstream,
            names.upstream,
            text(theirs)
        ));
    }
    let expected = allowed.of(if same { Side::Upstream } else { Side::Ours });
    if mine == Some(expected) {
        if !same {
            result.saw(id);
        }
    } else if mine == theirs {
        result.mismatches.push(format!(
            "{place}: {id} is out of date: both are {}",
            text(theirs)
        ));
    } else {
        result.mismatches.push(format!(
            "{place}: {id} says {expected} of {}, but it is {}",
            names.ours,
            text(mine)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directio::observation::Log;
    use harness::state::State;

    const NAMES: Names<'_> = Names {
        upstream: "U",
        ours: "R",
    };

    fn step(label: &str, observed: Vec<Observation>) -> Step {
        Step {
            label: label.to_owned(),
            observed,
            ..Step::default()
        }
    }

    fn returned(state: State) -> Observation {
        Observation::Returned(state.into())
    }

    fn transcript(steps: Vec<Step>) -> Transcript {
        Transcript {
            steps,
            end: End::Ended(Ok(())),
            remarks: String::new(),
        }
    }

    /// A side that returns `state` where upstream returns DOWN and ours UP.
    fn pinned(state: State) -> Transcript {
        let mut step = step("check", vec![returned(state)]);
        step.differences.push(Difference {
            id: "I4".to_owned(),
            upstream: returned(State::DOWN),
            ours: returned(State::UP),
        });
        transcript(vec![step])
    }

    #[test]
    fn equal_sides_agree_and_unequal_ones_do_not() {
        let one = |state| transcript(vec![step("check", vec![returned(state)])]);
        let good = compare(NAMES, &one(State::UP), &one(State::UP), false);
        assert_eq!((good.steps, good.mismatches.len()), (1, 0));
        for same in [false, true] {
            let bad = compare(NAMES, &one(State::UP), &one(State::DOWN), same);
            assert_eq!(bad.mismatches.len(), 1);
        }
    }

    #[test]
    fn a_missing_or_further_step_or_fact_is_a_mismatch() {
        let short = transcript(vec![step("a", vec![])]);
        let long = transcript(vec![step("a", vec![]), step("b", vec![])]);
        let other = transcript(vec![step("c", vec![])]);
        let observation = transcript(vec![step("a", vec![Observation::Msgid(1)])]);
        for (upstream, ours) in [
            (&short, &long),
            (&long, &short),
            (&short, &other),
            (&short, &observation),
            (&observation, &short),
        ] {
            let result = compare(NAMES, upstream, ours, false);
            assert_eq!(result.mismatches.len(), 1);
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
        let (up, down, pending) = (State::UP, State::DOWN, State::PENDING);
        for (upstream, ours, same, mismatches, seen) in [
            (down, up, false, 0, Some(1)),
            (down, down, false, 1, None),
            (down, pending, false, 1, None),
            (up, up, false, 1, Some(1)),
            (down, down, true, 0, None),
            (down, up, true, 1, None),
        ] {
            let result = compare(NAMES, &pinned(upstream), &pinned(ours), same);
            assert_eq!(result.mismatches.len(), mismatches);
            assert_eq!(result.differences.get("I4").copied(), seen);
        }
    }

    #[test]
    fn lower_log_levels_are_an_entry_of_their_own() {
        let side = |level| {
            let log = Observation::Log(Log::called().starts(level));
            transcript(vec![step("check", vec![log])])
        };
        let result = compare(NAMES, &side(3), &side(4), false);
        assert_eq!(result.mismatches.len(), 0);
        assert_eq!(result.differences.get(LEVELS), Some(&1));
        let same = compare(NAMES, &side(3), &side(4), true);
        let other_way = compare(NAMES, &side(4), &side(3), false);
        assert_eq!((same.mismatches.len(), other_way.mismatches.len()), (1, 1));
    }

    #[test]
    fn what_one_side_shows_to_be_wrong_counts() {
        let mut bad = step("check", vec![]);
        bad.wrong.push("bytes were changed".to_owned());
        let bad = transcript(vec![bad]);
        let good = transcript(vec![step("check", vec![])]);
        assert_eq!(compare(NAMES, &good, &bad, false).mismatches.len(), 1);
        assert_eq!(compare(NAMES, &bad, &good, false).mismatches.len(), 1);
        assert_eq!(alone("R", &bad).mismatches.len(), 1);
        assert_eq!(alone("R", &pinned(State::UP)).mismatches.len(), 0);
        assert_eq!(alone("R", &pinned(State::DOWN)).mismatches.len(), 1);
        let died = Transcript {
            end: End::Died {
                during: "reset".to_owned(),
                how: "signal 11".to_owned(),
            },
            ..transcript(vec![])
        };
        assert_eq!(alone("R", &died).mismatches.len(), 1);
    }

    #[test]
    fn what_cannot_run_here_is_not_a_success() {
        let absent = Transcript::failed(Trouble::NotHere("no FUSE".to_owned()));
        let result = compare(NAMES, &absent, &absent, false);
        assert_eq!(result.not_run.as_deref(), Some("no FUSE"));
        assert!(result.mismatches.is_empty());
    }
}

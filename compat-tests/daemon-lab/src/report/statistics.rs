// SPDX-License-Identifier: LGPL-2.0-or-later
//! Durations and figures over several runs.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::{Event, Figure, Operation, Outcome, Record, RunConfig, Scenario, StepKind};

/// What a duration measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Interval {
    FaultToFailed,
    ReleaseToRecovered,
    Operation(Operation),
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Interval::FaultToFailed => f.pad("fault → failed"),
            Interval::ReleaseToRecovered => f.pad("release → recovered"),
            Interval::Operation(operation) => operation.fmt(f),
        }
    }
}

impl Interval {
    /// The interval that a record ends, and its length in milliseconds.
    fn of_record(record: &Record) -> Option<(Interval, u64)> {
        match record.event {
            Event::Step { kind, after, .. } => match kind {
                StepKind::Failed => Some((Interval::FaultToFailed, after)),
                StepKind::Recovered => Some((Interval::ReleaseToRecovered, after)),
                StepKind::Other => None,
            },
            Event::Took { operation, ms, .. } => Some((Interval::Operation(operation), ms)),
            _ => None,
        }
    }
}

/// Milliseconds per scenario and interval, one value per run.
pub(crate) type Durations = BTreeMap<(Scenario, Interval), Vec<u64>>;

/// The durations in all runs of a configuration. If an interval occurs more than once in a run, as
/// with two paths, the longest counts.
pub(crate) fn durations(outcomes: &[Outcome], config: RunConfig) -> Durations {
    let mut all = Durations::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.config == config) {
        for &scenario in &outcome.scenarios {
            let records = outcome.records_of(scenario);
            let intervals = records.iter().filter_map(|r| Interval::of_record(r));
            for (interval, ms) in largest(intervals) {
                all.entry((scenario, interval)).or_default().push(ms);
            }
        }
    }
    all
}

/// The largest value of each figure in these records.
pub(crate) fn figures<'a>(records: impl Iterator<Item = &'a Record>) -> BTreeMap<Figure, u64> {
    largest(records.filter_map(|record| match record.event {
        Event::Figure { name, value } => Some((name, value)),
        _ => None,
    }))
}

fn largest<K: Ord>(values: impl Iterator<Item = (K, u64)>) -> BTreeMap<K, u64> {
    let mut all = BTreeMap::new();
    for (key, value) in values {
        let largest = all.entry(key).or_default();
        *largest = value.max(*largest);
    }
    all
}

/// The middle value, the lower one of two; `None` if there is none.
pub(crate) fn median(values: &[u64]) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

/// Milliseconds, printed as seconds.
pub(crate) fn seconds(ms: u64) -> String {
    format!("{:.1}", ms as f64 / 1000.0)
}

/// The distinct values in the order of their first occurrence.
pub(crate) fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}

/// The distinct configurations of these outcomes.
pub(crate) fn configs<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Vec<RunConfig> {
    distinct(outcomes.into_iter().map(|outcome| outcome.config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_measured_value() {
        assert_eq!(median(&[9, 1, 5]), Some(5));
        assert_eq!(median(&[2, 1]), Some(1));
        assert_eq!(median(&[]), None);
    }
}

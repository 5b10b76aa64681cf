// SPDX-License-Identifier: LGPL-2.0-or-later
//! Compares runs with our plugins to runs with upstream's: the same states in the same order, and
//! not slower.

use super::state_sequence::{Aspect, state_sequence};
use super::statistics::{configs, distinct, durations, figures, median, seconds};
use crate::model::{Figure, Outcome, PathId, Plugins, RunConfig, Scenario};

/// How many upstream runs are needed for a difference to count.
pub(crate) const RUNS: usize = 3;

/// The tolerance for a median, in milliseconds: a fault falls anywhere between two ticks of the
/// checker loop, and a guest's clock is inaccurate.
const TOLERANCE: u64 = 1500;

/// How long a scenario leaves a device hung, in milliseconds. Upstream's longer durations end with
/// the hang and are not compared.
const HANG: u64 = 45_000;

/// Upstream runs whose checker loop stalled for longer, in milliseconds, are discarded.
const LONGEST_STALL: u64 = 10_000;

/// The result of a comparison.
pub(crate) struct Comparison {
    pub(crate) text: String,
    pub(crate) differs: bool,
}

/// Something that only runs of ours have shown.
struct Finding {
    weight: Weight,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    Difference,
    /// There are too few upstream runs.
    Possible,
    /// Nothing can be compared.
    Remark,
}

/// Compares every configuration of ours with the same one of upstream.
pub(crate) fn compare(outcomes: &[Outcome]) -> Comparison {
    let mut comparison = Comparison {
        text: String::new(),
        differs: false,
    };
    for config in configs(outcomes) {
        if config.plugins == Plugins::Upstream {
            continue;
        }
        let pair = Pair { outcomes, config };
        let mut findings = pair.compare_states();
        findings.extend(pair.compare_durations());
        let any = |weight| findings.iter().any(|finding| finding.weight == weight);
        let result = if any(Weight::Difference) {
            "DIFFERS from upstream"
        } else if any(Weight::Possible) {
            "may differ from upstream, which has too few runs to tell"
        } else if pair.has_upstream_runs() {
            "as upstream"
        } else {
            "not compared, there are no upstream runs"
        };
        comparison.differs |= any(Weight::Difference);
        comparison.text.push_str(&format!("{config}: {result}\n"));
        for Finding { weight, text } in findings {
            let kind = match weight {
                Weight::Difference => "",
                Weight::Possible => "perhaps ",
                Weight::Remark => "not compared: ",
            };
            comparison.text.push_str(&format!("  {kind}{text}\n"));
        }
    }
    comparison
}

/// The weight of a difference from this many upstream runs.
fn weight(runs: usize) -> Weight {
    if runs < RUNS {
        Weight::Possible
    } else {
        Weight::Difference
    }
}

/// The runs of a configuration of ours and of its upstream counterpart.
struct Pair<'a> {
    outcomes: &'a [Outcome],
    config: RunConfig,
}

impl<'a> Pair<'a> {
    fn upstream(&self) -> RunConfig {
        self.config.with_upstream_plugins()
    }

    fn has_upstream_runs(&self) -> bool {
        let upstream = self.upstream();
        self.outcomes.iter().any(|run| run.config == upstream)
    }

    /// The runs of a configuration that completed a scenario.
    fn completed(&self, config: RunConfig, scenario: Scenario) -> Vec<&'a Outcome> {
        self.outcomes
            .iter()
            .filter(|run| run.config == config && run.has_completed(scenario))
            .collect()
    }

    fn compare_states(&self) -> Vec<Finding> {
        let ours = self.outcomes.iter().filter(|o| o.config == self.config);
        distinct(ours.flat_map(|outcome| outcome.scenarios.iter().copied()))
            .into_iter()
            .flat_map(|scenario| self.compare_scenario(scenario))
            .collect()
    }

    fn compare_scenario(&self, scenario: Scenario) -> Vec<Finding> {
        let all = self.completed(self.upstream(), scenario);
        let upstream: Vec<&Outcome> = all
            .iter()
            .copied()
            .filter(|run| tick_gap(run, scenario) < LONGEST_STALL)
            .collect();
        if upstream.is_empty() {
            let why = match all.is_empty() {
                true => "no upstream run",
                false => "upstream's checker loop stalled",
            };
            return vec![Finding {
                weight: Weight::Remark,
                text: format!("{scenario}: {why}"),
            }];
        }
        let ours = self.completed(self.config, scenario);
        let mut findings = Vec::new();
        for path in PathId::BOTH {
            for aspect in Aspect::ALL {
                compare_aspect(&upstream, &ours, scenario, path, aspect, &mut findings);
            }
        }
        findings
    }

    /// A median of ours may exceed upstream's slowest run by [`TOLERANCE`].
    fn compare_durations(&self) -> Vec<Finding> {
        let upstream = durations(self.outcomes, self.upstream());
        let ours = durations(self.outcomes, self.config);
        let slower = upstream.iter().filter_map(|(what, upstream)| {
            let slowest = *upstream.iter().max()?;
            let median = median(ours.get(what)?)?;
            let (scenario, interval) = what;
            (slowest < HANG && median > slowest + TOLERANCE).then(|| Finding {
                weight: weight(upstream.len()),
                text: format!(
                    "{scenario}: {interval}: upstream at most {} s, ours {} s",
                    seconds(slowest),
                    seconds(median)
                ),
            })
        });
        slower.collect()
    }
}

/// Each state sequence of ours must be one that upstream has shown; each checker state must be one
/// that upstream has shown.
fn compare_aspect(
    upstream: &[&Outcome],
    ours: &[&Outcome],
    scenario: Scenario,
    path: PathId,
    aspect: Aspect,
    findings: &mut Vec<Finding>,
) {
    let sequences = |runs: &[&Outcome]| -> Vec<Vec<String>> {
        let sequence = |run: &&Outcome| state_sequence(&run.records_of(scenario), path, aspect);
        runs.iter().map(sequence).collect()
    };
    let weight = weight(upstream.len());
    let upstream = distinct(sequences(upstream).into_iter());
    let mut ours = sequences(ours);
    let runs = ours.len();
    ours.retain(|sequence| !sequence.is_empty());
    if ours.len() < runs && upstream.iter().all(|sequence| !sequence.is_empty()) {
        findings.push(Finding {
            weight: Weight::Remark,
            text: format!("{scenario}: {path} {aspect:?}: ours is always pending"),
        });
    }
    for sequence in distinct(ours.iter()) {
        if aspect.agrees(&upstream, sequence, scenario.has_random_order()) {
            continue;
        }
        let times = ours.iter().filter(|other| *other == sequence).count();
        let upstream: Vec<String> = upstream.iter().map(|states| states.join(" ")).collect();
        findings.push(Finding {
            weight,
            text: format!(
                "{scenario}: {path} {aspect:?}: upstream {}; ours, {times} of {} times, {}",
                upstream.join(" or "),
                ours.len(),
                sequence.join(" ")
            ),
        });
    }
}

/// The longest time in milliseconds that the daemon's checker loop stalled in a scenario.
fn tick_gap(run: &Outcome, scenario: Scenario) -> u64 {
    let figures = figures(run.records_of(scenario).into_iter());
    figures.get(&Figure::TickGap).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Checker, CheckerState, DmState, Event, PathView, Record, Suite};

    /// A run of one scenario in which path A shows these checker states after a fault.
    fn run(plugins: Plugins, states: &[&str]) -> Outcome {
        let scenario = Scenario::Hang;
        let what = String::new();
        let view = |state: &&str| Event::Path {
            path: PathId::A,
            view: Some(PathView {
                device: "sda".to_owned(),
                dm: DmState::Active,
                checker: CheckerState::new(state),
                scsi: "running".to_owned(),
            }),
        };
        let events = [Event::Begin { scenario }, Event::Fault { what }]
            .into_iter()
            .chain(states.iter().map(view))
            .chain([Event::End { scenario }]);
        Outcome {
            config: RunConfig {
                suite: Suite::Sid,
                checker: Checker::Tur,
                plugins,
            },
            scenarios: vec![scenario],
            records: (0..)
                .step_by(1000)
                .zip(events)
                .map(|(at, event)| Record { at, event })
                .collect(),
        }
    }

    #[test]
    fn a_state_that_upstream_never_shows_is_a_difference() {
        let upstream = || run(Plugins::Upstream, &["ready", "faulty"]);
        let same = run(Plugins::Ours, &["ready", "faulty"]);
        let other = run(Plugins::Ours, &["ready", "shaky"]);
        let differs = |runs: Vec<Outcome>| compare(&runs).differs;
        assert!(!differs(vec![upstream(), upstream(), upstream(), same]));
        let few = compare(&[upstream(), run(Plugins::Ours, &["ready", "shaky"])]);
        assert!(!few.differs && few.text.contains("perhaps"));
        assert!(differs(vec![upstream(), upstream(), upstream(), other]));
    }

    #[test]
    fn without_upstream_runs_nothing_is_compared() {
        let text = compare(&[run(Plugins::Ours, &["ready"])]).text;
        assert!(text.starts_with("sid-tur-ours: not compared"), "{text}");
    }
}

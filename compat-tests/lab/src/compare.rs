//! C's runs against ours: the same states in the same order, and not slower.

use crate::args::{Cell, Plugins};
use crate::cell::Outcome;
use crate::event::{Event, Path, Record, View};
use crate::report::{Mark, of_scenario};
use crate::table::{distinct, durations, median, seconds};

/// What one tick of the checker loop may add or take away, in milliseconds: a fault comes at any
/// time between two ticks, and a guest's clock is not a real machine's.
const TICK: u64 = 1500;

/// Compares all cells of ours with their C twins; returns what to print and the worst mark.
pub(crate) fn compare(outcomes: &[Outcome]) -> (String, Mark) {
    let mut text = String::new();
    let mut worst = Mark::Passed;
    for ours in distinct(outcomes.iter().map(|outcome| &outcome.cell)) {
        if ours.plugins == Plugins::C {
            continue;
        }
        let c = Cell {
            plugins: Plugins::C,
            ..ours.clone()
        };
        let findings = [states(outcomes, &c, &ours), times(outcomes, &c, &ours)].concat();
        let verdict = if findings.is_empty() {
            "as C"
        } else {
            "DIFFERS from C"
        };
        text.push_str(&format!("{}: {verdict}\n", ours.name()));
        for finding in findings {
            text.push_str(&format!("  {finding}\n"));
            worst = Mark::Failed;
        }
    }
    (text, worst)
}

/// Every sequence of states of ours has to be one that C has shown too.
fn states(outcomes: &[Outcome], c: &Cell, ours: &Cell) -> Vec<String> {
    let mut findings = Vec::new();
    for scenario in scenarios(outcomes, ours) {
        for path in Path::BOTH {
            for (what, of) in [("checker", checker as fn(&View) -> &str), ("dm", dm)] {
                let seen = |cell: &Cell| {
                    let runs = outcomes.iter().filter(|outcome| outcome.cell == *cell);
                    let sequences: Vec<Vec<String>> = runs
                        .map(|run| sequence(&of_scenario(&run.records, &scenario), path, of))
                        .collect();
                    distinct(sequences.iter())
                };
                let (theirs, mine) = (seen(c), seen(ours));
                // Where C's own runs differ, the states count, not their order and number.
                let same = |sequence: &Vec<String>| match theirs.as_slice() {
                    [one] => one == sequence,
                    several => sequence
                        .iter()
                        .all(|s| several.iter().any(|t| t.contains(s))),
                };
                for sequence in mine.iter().filter(|sequence| !same(sequence)) {
                    let c = theirs
                        .iter()
                        .map(|s| s.join(" "))
                        .collect::<Vec<_>>()
                        .join(" or ");
                    let ours = sequence.join(" ");
                    findings.push(format!("{scenario}: {path} {what}: C {c}; ours {ours}"));
                }
            }
        }
    }
    findings
}

/// The median of ours may not be above C's slowest run by more than a tick.
fn times(outcomes: &[Outcome], c: &Cell, ours: &Cell) -> Vec<String> {
    let (theirs, mine) = (durations(outcomes, c), durations(outcomes, ours));
    let slower = theirs.iter().filter_map(|(what, c)| {
        let slowest = *c.iter().max()?;
        let ours = median(mine.get(what)?)?;
        let (scenario, what) = what;
        (ours > slowest + TICK).then(|| {
            let (c, ours) = (seconds(slowest), seconds(ours));
            format!("{scenario}: {what}: C at most {c} s, ours {ours} s")
        })
    });
    slower.collect()
}

fn scenarios(outcomes: &[Outcome], cell: &Cell) -> Vec<String> {
    distinct(
        outcomes
            .iter()
            .filter(|o| o.cell == *cell)
            .flat_map(|o| &o.scenarios),
    )
}

fn checker(view: &View) -> &str {
    if view.dev.is_empty() {
        "gone"
    } else {
        &view.checker
    }
}

fn dm(view: &View) -> &str {
    if view.dev.is_empty() {
        "gone"
    } else {
        &view.dm
    }
}

/// The states of a path from the first fault on, each once per change. A check under way is no
/// state: whether a sample meets it is chance.
fn sequence(records: &[&Record], path: Path, of: fn(&View) -> &str) -> Vec<String> {
    let mut states: Vec<String> = Vec::new();
    let mut faulty = false;
    for record in records {
        match &record.event {
            Event::Fault { .. } => faulty = true,
            Event::Path { path: p, view } if *p == path => {
                let state = of(view);
                if state == "i/o pending" {
                    continue;
                }
                if !faulty {
                    states.clear();
                }
                if states.last().is_none_or(|last| last != state) {
                    states.push(state.to_owned());
                }
            }
            _ => {}
        }
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(states: &[&str]) -> Vec<Record> {
        let mut events = vec![];
        for &state in states {
            events.push(match state {
                "FAULT" => Event::Fault {
                    what: String::new(),
                },
                _ => Event::Path {
                    path: Path::A,
                    view: View {
                        dev: "sda".into(),
                        dm: "active".into(),
                        checker: state.into(),
                        device: String::new(),
                    },
                },
            });
        }
        events
            .into_iter()
            .map(|event| Record { at: 0, event })
            .collect()
    }

    #[test]
    fn a_sequence_starts_with_the_state_at_the_first_fault() {
        let records = records(&[
            "undef",
            "ready",
            "FAULT",
            "i/o pending",
            "faulty",
            "faulty",
            "ready",
        ]);
        let records: Vec<&Record> = records.iter().collect();
        assert_eq!(
            sequence(&records, Path::A, checker),
            ["ready", "faulty", "ready"]
        );
        assert_eq!(sequence(&records, Path::A, dm), ["active"]);
        assert!(sequence(&records, Path::B, dm).is_empty());
    }
}

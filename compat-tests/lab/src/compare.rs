//! C's runs against ours: the same states in the same order, and not slower.

use crate::args::{Cell, Plugins};
use crate::cell::Outcome;
use crate::event::{Event, Path, Record, View};
use crate::report::of_scenario;
use crate::table::{distinct, durations, median, seconds};

/// What one tick of the checker loop may add or take away, in milliseconds: a fault comes at any
/// time between two ticks, and a guest's clock is not a real machine's.
const TICK: u64 = 1500;

/// What a comparison has to say.
pub(crate) struct Comparison {
    pub(crate) text: String,
    pub(crate) differs: bool,
}

/// Compares all cells of ours with their C twins.
pub(crate) fn compare(outcomes: &[Outcome]) -> Comparison {
    let mut text = String::new();
    let mut differs = false;
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
            differs = true;
        }
    }
    Comparison { text, differs }
}

/// Every sequence of states of ours has to be one that C has shown too, and every word a checker of
/// ours was quoted with one of C's.
fn states(outcomes: &[Outcome], c: &Cell, ours: &Cell) -> Vec<String> {
    let mut findings = Vec::new();
    for scenario in scenarios(outcomes, ours) {
        for path in Path::BOTH {
            for aspect in [Aspect::Dm, Aspect::Usable, Aspect::Word] {
                let seen = |cell: &Cell| {
                    let runs = outcomes.iter().filter(|outcome| outcome.cell == *cell);
                    let sequences: Vec<Vec<&str>> = runs
                        .map(|run| sequence(&of_scenario(&run.records, &scenario), path, aspect))
                        .collect();
                    distinct(sequences.iter())
                };
                let theirs = seen(c);
                for sequence in seen(ours) {
                    if !aspect.agrees(&theirs, &sequence) {
                        let c: Vec<String> = theirs.iter().map(|s| s.join(" ")).collect();
                        let (c, ours) = (c.join(" or "), sequence.join(" "));
                        findings.push(format!("{scenario}: {path} {aspect:?}: C {c}; ours {ours}"));
                    }
                }
            }
        }
    }
    findings
}

/// What of a path is compared.
#[derive(Clone, Copy, Debug)]
enum Aspect {
    /// What device-mapper does with it.
    Dm,
    /// Whether the checker says up or down. How often it changes its word for "down" while a
    /// device hangs depends on when its commands time out.
    Usable,
    /// The checker's very words, in any order.
    Word,
}

impl Aspect {
    fn of(self, view: &View) -> &str {
        match (self, view.checker.as_str()) {
            _ if view.dev.is_empty() => "gone",
            (Aspect::Dm, _) => &view.dm,
            (Aspect::Usable, "ready" | "ghost") => "up",
            (Aspect::Usable, "faulty" | "i/o timeout" | "disconnected") => "down",
            (Aspect::Usable | Aspect::Word, word) => word,
        }
    }

    fn agrees(self, theirs: &[Vec<&str>], ours: &[&str]) -> bool {
        match (self, theirs) {
            (Aspect::Dm | Aspect::Usable, [one]) => one == ours,
            // Where C's own runs differ, the states count, not their order and number.
            _ => ours
                .iter()
                .all(|state| theirs.iter().any(|seen| seen.contains(state))),
        }
    }
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

/// The states of a path from the first fault on, each once per change. A check under way is no
/// state: whether a sample meets it is chance.
fn sequence<'a>(records: &[&'a Record], path: Path, aspect: Aspect) -> Vec<&'a str> {
    let mut states = Vec::new();
    let mut faulty = false;
    for record in records {
        match &record.event {
            Event::Fault { .. } => faulty = true,
            Event::Path { path: p, view } if *p == path && view.checker != "i/o pending" => {
                if !faulty {
                    states.clear();
                }
                let state = aspect.of(view);
                if states.last() != Some(&state) {
                    states.push(state);
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
        let event = |&state: &&str| match state {
            "FAULT" => Event::Fault {
                what: String::new(),
            },
            _ => Event::Path {
                path: Path::A,
                view: View {
                    dev: "sda".to_owned(),
                    dm: "active".to_owned(),
                    checker: state.to_owned(),
                    device: String::new(),
                },
            },
        };
        states
            .iter()
            .map(event)
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
            "i/o timeout",
            "ready",
        ]);
        let records: Vec<&Record> = records.iter().collect();
        let seen = |aspect| sequence(&records, Path::A, aspect);
        assert_eq!(seen(Aspect::Usable), ["up", "down", "up"]);
        assert_eq!(
            seen(Aspect::Word),
            ["ready", "faulty", "i/o timeout", "ready"]
        );
        assert_eq!(seen(Aspect::Dm), ["active"]);
        assert!(sequence(&records, Path::B, Aspect::Dm).is_empty());
    }

    #[test]
    fn another_order_or_a_new_word_is_a_difference() {
        let c = vec![vec!["up", "down", "up"]];
        assert!(Aspect::Usable.agrees(&c, &["up", "down", "up"]));
        assert!(!Aspect::Usable.agrees(&c, &["up", "down", "up", "down", "up"]));
        let c = vec![vec!["ready", "faulty"], vec!["ready"]];
        assert!(Aspect::Word.agrees(&c, &["faulty", "ready"]));
        assert!(!Aspect::Word.agrees(&c, &["ready", "shaky"]));
    }
}

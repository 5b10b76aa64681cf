//! C's runs against ours: the same states in the same order, and not slower.

use crate::cell::{Cell, Outcome, Whose};
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

/// How often C has to be played before what it does is known.
pub(crate) const RUNS: usize = 3;

/// Something that ours did and C did not.
struct Finding {
    scenario: String,
    what: String,
}

/// Compares all cells of ours with their C twins.
pub(crate) fn compare(outcomes: &[Outcome]) -> Comparison {
    let mut text = String::new();
    let mut differs = false;
    for ours in distinct(outcomes.iter().map(|outcome| &outcome.cell)) {
        if ours.whose == Whose::C {
            continue;
        }
        let c = Cell {
            whose: Whose::C,
            ..ours
        };
        let findings = states(outcomes, &c, &ours)
            .into_iter()
            .chain(times(outcomes, &c, &ours));
        // What C does once it need not do again: fewer runs are no measure.
        let (certain, doubtful): (Vec<Finding>, Vec<Finding>) =
            findings.partition(|finding| runs(outcomes, &c, &finding.scenario) >= RUNS);
        let verdict = match (certain.is_empty(), doubtful.is_empty()) {
            (false, _) => "DIFFERS from C",
            (true, false) => "may differ from C, which was played too seldom to tell",
            (true, true) => "as C",
        };
        differs |= !certain.is_empty();
        text.push_str(&format!("{}: {verdict}\n", ours.name()));
        for (kind, findings) in [("", certain), ("perhaps ", doubtful)] {
            for Finding { scenario, what } in findings {
                text.push_str(&format!("  {kind}{scenario}: {what}\n"));
            }
        }
    }
    Comparison { text, differs }
}

/// Every sequence of states of ours has to be one that C has shown too, and every word a checker of
/// ours was quoted with one of C's.
fn states(outcomes: &[Outcome], c: &Cell, ours: &Cell) -> Vec<Finding> {
    let mut findings = Vec::new();
    for scenario in scenarios(outcomes, ours) {
        if runs(outcomes, c, &scenario) == 0 {
            findings.push(Finding {
                scenario,
                what: "not played with C".to_owned(),
            });
            continue;
        }
        for path in Path::BOTH {
            for aspect in [Aspect::Dm, Aspect::Usable, Aspect::Word] {
                let seen = |cell: &Cell| {
                    let sequences: Vec<Vec<&str>> = played(outcomes, cell, &scenario)
                        .map(|run| sequence(&of_scenario(&run.records, &scenario), path, aspect))
                        .collect();
                    distinct(sequences.iter())
                };
                let theirs = seen(c);
                for sequence in seen(ours) {
                    if !aspect.agrees(&theirs, &sequence) {
                        let c: Vec<String> = theirs.iter().map(|s| s.join(" ")).collect();
                        let (c, ours) = (c.join(" or "), sequence.join(" "));
                        findings.push(Finding {
                            scenario: scenario.clone(),
                            what: format!("{path} {aspect:?}: C {c}; ours {ours}"),
                        });
                    }
                }
            }
        }
    }
    findings
}

/// A checker's words for a path that cannot be used.
const DOWN: [&str; 3] = ["faulty", "i/o timeout", "disconnected"];
/// The state of a path that the daemon does not know.
const GONE: &str = "gone";

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
            _ if view.dev.is_empty() => GONE,
            (Aspect::Dm, _) => &view.dm,
            (Aspect::Usable, "ready" | "ghost") => "up",
            (Aspect::Usable, word) if DOWN.contains(&word) => "down",
            (Aspect::Usable | Aspect::Word, word) => word,
        }
    }

    fn is_down(self, state: &str) -> bool {
        match self {
            Aspect::Dm => state == "failed",
            Aspect::Usable => state == "down",
            Aspect::Word => DOWN.contains(&state),
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
fn times(outcomes: &[Outcome], c: &Cell, ours: &Cell) -> Vec<Finding> {
    let (theirs, mine) = (durations(outcomes, c), durations(outcomes, ours));
    let slower = theirs.iter().filter_map(|(what, c)| {
        let slowest = *c.iter().max()?;
        let ours = median(mine.get(what)?)?;
        let (scenario, what) = what;
        (ours > slowest + TICK).then(|| {
            let (c, ours) = (seconds(slowest), seconds(ours));
            Finding {
                scenario: scenario.clone(),
                what: format!("{what}: C at most {c} s, ours {ours} s"),
            }
        })
    });
    slower.collect()
}

/// The runs of a cell that have played this scenario.
fn played<'a>(
    outcomes: &'a [Outcome],
    cell: &Cell,
    scenario: &str,
) -> impl Iterator<Item = &'a Outcome> {
    outcomes.iter().filter(move |outcome| {
        outcome.cell == *cell && !of_scenario(&outcome.records, scenario).is_empty()
    })
}

fn runs(outcomes: &[Outcome], cell: &Cell, scenario: &str) -> usize {
    played(outcomes, cell, scenario).count()
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
    let mut states: Vec<&str> = Vec::new();
    let mut faulty = false;
    for record in records {
        match &record.event {
            Event::Fault { .. } => faulty = true,
            Event::Path { path: p, view } if *p == path && view.checker != "i/o pending" => {
                if !faulty {
                    states.clear();
                }
                let state = aspect.of(view);
                // A path that goes away fails before; whether a sample meets that is chance, too.
                if state == GONE && states.last().is_some_and(|last| aspect.is_down(last)) {
                    states.pop();
                }
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
                    dev: if state.is_empty() { "" } else { "sda" }.to_owned(),
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
    fn a_path_that_goes_away_may_have_been_seen_to_fail() {
        for states in [
            &["ready", "FAULT", "faulty", ""],
            &["ready", "FAULT", "ready", ""],
        ] {
            let records = records(states);
            let records: Vec<&Record> = records.iter().collect();
            assert_eq!(sequence(&records, Path::A, Aspect::Word), ["ready", GONE]);
            assert_eq!(sequence(&records, Path::A, Aspect::Usable), ["up", GONE]);
        }
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

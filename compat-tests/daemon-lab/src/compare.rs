//! C's runs against ours: the same states in the same order, and not slower.

use crate::cell::{Cell, Outcome, Whose};
use crate::event::{Event, Figure, Path, Record, View};
use crate::guest::SCENARIOS;
use crate::report::{ended, of_scenario};
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

/// How long a scenario lets a device hang, in milliseconds. What took C longer has ended with the
/// hang, and the rest of the time is the kernel's.
const HANG: u64 = 45_000;

/// A path that is up for a shorter time, in milliseconds, was not: less than a tick.
const BLINK: u64 = 700;

/// A daemon whose checker loop stands still for longer, in milliseconds, has seen nothing meanwhile.
const STANDSTILL: u64 = 10_000;

/// Something that ours did and C did not.
struct Finding {
    weight: Weight,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    Difference,
    /// C was played too seldom to know what it does.
    Doubt,
    /// There is nothing to compare.
    Remark,
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
        let findings: Vec<Finding> = states(outcomes, &c, &ours)
            .into_iter()
            .chain(times(outcomes, &c, &ours))
            .collect();
        let any = |weight| findings.iter().any(|finding| finding.weight == weight);
        let verdict = if any(Weight::Difference) {
            "DIFFERS from C"
        } else if any(Weight::Doubt) {
            "may differ from C, which was played too seldom to tell"
        } else {
            "as C"
        };
        differs |= any(Weight::Difference);
        text.push_str(&format!("{}: {verdict}\n", ours.name()));
        for Finding { weight, text: what } in findings {
            let kind = match weight {
                Weight::Difference => "",
                Weight::Doubt => "perhaps ",
                Weight::Remark => "not compared: ",
            };
            text.push_str(&format!("  {kind}{what}\n"));
        }
    }
    Comparison { text, differs }
}

/// Every sequence of states of ours has to be one that C has shown too, and every word a checker of
/// ours was quoted with one of C's.
fn states(outcomes: &[Outcome], c: &Cell, ours: &Cell) -> Vec<Finding> {
    let mut findings = Vec::new();
    for scenario in scenarios(outcomes, ours) {
        let theirs: Vec<&Outcome> = played(outcomes, c, &scenario).collect();
        let awake: Vec<&Outcome> = theirs
            .iter()
            .copied()
            .filter(|run| tick_gap(run, &scenario) < STANDSTILL)
            .collect();
        if awake.is_empty() {
            let why = if theirs.is_empty() {
                "not played with C"
            } else {
                "C's checker loop stood still"
            };
            findings.push(Finding {
                weight: Weight::Remark,
                text: format!("{scenario}: {why}"),
            });
            continue;
        }
        let mine: Vec<&Outcome> = played(outcomes, ours, &scenario).collect();
        let weight = weight(awake.len());
        let chance = SCENARIOS
            .iter()
            .any(|known| known.name == scenario && known.chance);
        for path in Path::BOTH {
            for aspect in [Aspect::Dm, Aspect::Usable, Aspect::Word] {
                let seen = |runs: &[&Outcome]| -> Vec<Vec<String>> {
                    let sequence = |run: &&Outcome| {
                        sequence(&of_scenario(&run.records, &scenario), path, aspect)
                    };
                    runs.iter().map(sequence).collect()
                };
                let (theirs, mut mine) = (distinct(seen(&awake).iter()), seen(&mine));
                let told = mine.len();
                mine.retain(|sequence| !sequence.is_empty());
                if mine.len() < told && theirs.iter().all(|sequence| !sequence.is_empty()) {
                    findings.push(Finding {
                        weight: Weight::Remark,
                        text: format!("{scenario}: {path} {aspect:?}: ours is always pending"),
                    });
                }
                for sequence in distinct(mine.iter()) {
                    if aspect.agrees(&theirs, &sequence, chance) {
                        continue;
                    }
                    let times = mine.iter().filter(|other| **other == sequence).count();
                    let c: Vec<String> = theirs.iter().map(|s| s.join(" ")).collect();
                    findings.push(Finding {
                        weight,
                        text: format!(
                            "{scenario}: {path} {aspect:?}: C {}; ours, {times} of {} times, {}",
                            c.join(" or "),
                            mine.len(),
                            sequence.join(" ")
                        ),
                    });
                }
            }
        }
    }
    findings
}

/// How much a difference from so many runs of C means.
fn weight(runs: usize) -> Weight {
    if runs < RUNS {
        Weight::Doubt
    } else {
        Weight::Difference
    }
}

/// The longest time the daemon's checker loop stood still in a scenario.
fn tick_gap(run: &Outcome, scenario: &str) -> u64 {
    let gaps = of_scenario(&run.records, scenario)
        .into_iter()
        .filter_map(|record| match record.event {
            Event::Figure {
                name: Figure::TickGap,
                value,
            } => Some(value),
            _ => None,
        });
    gaps.max().unwrap_or_default()
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

    /// Ours against what C has shown; `chance` if the scenario does not decide what happens when.
    fn agrees(self, theirs: &[Vec<String>], ours: &[String], chance: bool) -> bool {
        match (self, theirs) {
            (Aspect::Dm | Aspect::Usable, [one]) if !chance => one == ours,
            // There, and where C's own runs differ, the states count, not their order and number.
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
        let (times, slowest) = (c.len(), *c.iter().max()?);
        let ours = median(mine.get(what)?)?;
        let (scenario, what) = what;
        (slowest < HANG && ours > slowest + TICK).then(|| {
            let (c, ours) = (seconds(slowest), seconds(ours));
            Finding {
                weight: weight(times),
                text: format!("{scenario}: {what}: C at most {c} s, ours {ours} s"),
            }
        })
    });
    slower.collect()
}

/// The runs of a cell that have played this scenario to its end.
fn played<'a>(
    outcomes: &'a [Outcome],
    cell: &Cell,
    scenario: &str,
) -> impl Iterator<Item = &'a Outcome> {
    outcomes
        .iter()
        .filter(move |outcome| outcome.cell == *cell && ended(&outcome.records, scenario))
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
/// state: whether a sample meets it is chance. Nor is what lasts for a blink: the kernel tells that
/// it has failed a path, and a check that began before the fault tells that all is well. Nor is the
/// failure of a path that then goes away, which the daemon may hear of or not.
fn sequence(records: &[&Record], path: Path, aspect: Aspect) -> Vec<String> {
    let mut changes: Vec<(u64, &str)> = Vec::new();
    let mut faulty = false;
    for record in records {
        match &record.event {
            Event::Fault { .. } => faulty = true,
            Event::Path { path: p, view } if *p == path && view.checker != "i/o pending" => {
                if !faulty {
                    changes.clear();
                }
                let state = aspect.of(view);
                if state == GONE && changes.last().is_some_and(|(_, last)| aspect.is_down(last)) {
                    changes.pop();
                }
                if changes.last().is_none_or(|(_, last)| *last != state) {
                    changes.push((record.at, state));
                }
            }
            _ => {}
        }
    }
    let ends = changes.iter().skip(1).map(|(at, _)| *at).chain([u64::MAX]);
    let mut states: Vec<String> = changes
        .iter()
        .zip(ends)
        .enumerate()
        .filter(|(number, ((begin, state), end))| {
            *number == 0 || aspect.is_down(state) || end - begin > BLINK
        })
        .map(|(_, ((_, state), _))| (*state).to_owned())
        .collect();
    states.dedup();
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
            .zip((0..).step_by(1000))
            .map(|(event, at)| Record { at, event })
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
    fn a_path_that_goes_away_may_fail_before() {
        for failure in ["faulty", "ready"] {
            let mut records = records(&["ready", "FAULT", failure, "gone"]);
            if let Event::Path { view, .. } = &mut records[3].event {
                view.dev.clear();
            }
            let records: Vec<&Record> = records.iter().collect();
            assert_eq!(sequence(&records, Path::A, Aspect::Word), ["ready", GONE]);
            assert_eq!(sequence(&records, Path::A, Aspect::Usable), ["up", GONE]);
        }
    }

    #[test]
    fn a_blink_is_no_state() {
        let mut records = records(&["ready", "FAULT", "faulty", "ready", "faulty"]);
        let seen = |records: &[Record]| {
            let records: Vec<&Record> = records.iter().collect();
            sequence(&records, Path::A, Aspect::Usable)
        };
        assert_eq!(seen(&records), ["up", "down", "up", "down"]);
        records[4].at = records[3].at + BLINK;
        assert_eq!(seen(&records), ["up", "down"]);
    }

    #[test]
    fn another_order_or_a_new_word_is_a_difference() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let c = [words("up down up")];
        assert!(Aspect::Usable.agrees(&c, &words("up down up"), false));
        assert!(!Aspect::Usable.agrees(&c, &words("up down up down up"), false));
        assert!(Aspect::Usable.agrees(&c, &words("up down up down up"), true));
        assert!(!Aspect::Usable.agrees(&c, &words("up gone"), true));
        let c = [words("ready faulty"), words("ready")];
        assert!(Aspect::Word.agrees(&c, &words("faulty ready"), false));
        assert!(!Aspect::Word.agrees(&c, &words("ready shaky"), false));
    }
}

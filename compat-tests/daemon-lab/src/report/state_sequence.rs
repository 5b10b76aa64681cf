// SPDX-License-Identifier: LGPL-2.0-or-later
//! The sequence of states that a path goes through in a scenario, for the comparison.

use crate::model::{DmState, Event, PathId, PathView, Record};

/// `up` for less than this time, in milliseconds, is ignored. It is shorter than a tick.
const SHORTEST_STATE: u64 = 700;

/// The state of a path that the daemon does not know.
pub(crate) const GONE: &str = "gone";

/// The aspect of a path that is compared.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aspect {
    /// The state in device-mapper.
    Dm,
    /// Whether the checker reports up or down. How often "faulty" and "i/o timeout" alternate on a
    /// hung device depends on when its commands time out.
    Usable,
    /// The name of the checker state, in any order.
    Checker,
}

impl Aspect {
    pub(crate) const ALL: [Aspect; 3] = [Aspect::Dm, Aspect::Usable, Aspect::Checker];

    fn of(self, view: Option<&PathView>) -> &str {
        match (self, view) {
            (_, None) => GONE,
            (Aspect::Dm, Some(view)) => view.dm.name(),
            (Aspect::Usable, Some(view)) if view.checker.is_up() => "up",
            (Aspect::Usable, Some(view)) if view.checker.is_down() => "down",
            (Aspect::Usable | Aspect::Checker, Some(view)) => view.checker.name(),
        }
    }

    fn is_down(self, view: Option<&PathView>) -> bool {
        view.is_some_and(|view| match self {
            Aspect::Dm => view.dm == DmState::Failed,
            Aspect::Usable | Aspect::Checker => view.checker.is_down(),
        })
    }

    /// True if a sequence of ours agrees with those that upstream has shown. Where upstream's runs
    /// differ, and if `random_order` is set, the states count but not their order and number.
    pub(crate) fn agrees(
        self,
        upstream: &[Vec<String>],
        ours: &[String],
        random_order: bool,
    ) -> bool {
        match (self, upstream) {
            (Aspect::Dm | Aspect::Usable, [one]) if !random_order => one == ours,
            _ => ours
                .iter()
                .all(|state| upstream.iter().any(|seen| seen.contains(state))),
        }
    }
}

/// A state and when it began.
struct Change<'a> {
    at: u64,
    state: &'a str,
    is_down: bool,
}

/// The states of a path from the first fault on, without repetitions. Not counted, because they
/// depend on when a sample is taken, are
/// - a check in flight,
/// - up for less than [`SHORTEST_STATE`]: the kernel fails a path before its checker does, and a
///   check that began before the fault reports success,
/// - down immediately before the path is removed.
pub(crate) fn state_sequence(records: &[&Record], path: PathId, aspect: Aspect) -> Vec<String> {
    let changes = changes(records, path, aspect);
    let ends = changes.iter().skip(1).map(|next| next.at).chain([u64::MAX]);
    let mut states: Vec<String> = changes
        .iter()
        .zip(ends)
        .enumerate()
        .filter(|(number, (change, end))| {
            *number == 0 || change.is_down || end - change.at > SHORTEST_STATE
        })
        .map(|(_, (change, _))| change.state.to_owned())
        .collect();
    states.dedup();
    states
}

fn changes<'a>(records: &[&'a Record], path: PathId, aspect: Aspect) -> Vec<Change<'a>> {
    let mut changes: Vec<Change> = Vec::new();
    let mut fault_seen = false;
    for record in records {
        let view = match &record.event {
            Event::Fault { .. } => {
                fault_seen = true;
                continue;
            }
            Event::Path { path: of, view } if *of == path => view.as_ref(),
            _ => continue,
        };
        if view.is_some_and(|view| view.checker.is_pending()) {
            continue;
        }
        if !fault_seen {
            changes.clear();
        }
        if view.is_none() && changes.last().is_some_and(|last| last.is_down) {
            changes.pop();
        }
        let state = aspect.of(view);
        if changes.last().is_none_or(|last| last.state != state) {
            changes.push(Change {
                at: record.at,
                state,
                is_down: aspect.is_down(view),
            });
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CheckerState;

    fn records(states: &[&str]) -> Vec<Record> {
        let event = |&state: &&str| match state {
            "FAULT" => Event::Fault {
                what: String::new(),
            },
            _ => Event::Path {
                path: PathId::A,
                view: (state != GONE).then(|| PathView {
                    device: "sda".to_owned(),
                    dm: DmState::Active,
                    checker: CheckerState::new(state),
                    scsi: String::new(),
                }),
            },
        };
        states
            .iter()
            .map(event)
            .zip((0..).step_by(1000))
            .map(|(event, at)| Record { at, event })
            .collect()
    }

    fn sequence(records: &[Record], path: PathId, aspect: Aspect) -> Vec<String> {
        let records: Vec<&Record> = records.iter().collect();
        state_sequence(&records, path, aspect)
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
        let seen = |aspect| sequence(&records, PathId::A, aspect);
        assert_eq!(seen(Aspect::Usable), ["up", "down", "up"]);
        assert_eq!(
            seen(Aspect::Checker),
            ["ready", "faulty", "i/o timeout", "ready"]
        );
        assert_eq!(seen(Aspect::Dm), ["active"]);
        assert!(sequence(&records, PathId::B, Aspect::Dm).is_empty());
    }

    #[test]
    fn a_removed_path_may_fail_before() {
        for failure in ["faulty", "ready"] {
            let records = records(&["ready", "FAULT", failure, GONE]);
            let seen = |aspect| sequence(&records, PathId::A, aspect);
            assert_eq!(seen(Aspect::Checker), ["ready", GONE]);
            assert_eq!(seen(Aspect::Usable), ["up", GONE]);
        }
    }

    #[test]
    fn a_short_up_is_ignored() {
        let mut records = records(&["ready", "FAULT", "faulty", "ready", "faulty"]);
        let seen = |records: &[Record]| sequence(records, PathId::A, Aspect::Usable);
        assert_eq!(seen(&records), ["up", "down", "up", "down"]);
        records[4].at = records[3].at + SHORTEST_STATE;
        assert_eq!(seen(&records), ["up", "down"]);
    }

    #[test]
    fn another_order_or_a_new_state_is_a_difference() {
        let states = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let upstream = [states("up down up")];
        let agrees = |ours, random| Aspect::Usable.agrees(&upstream, &states(ours), random);
        assert!(agrees("up down up", false));
        assert!(!agrees("up down up down up", false));
        assert!(agrees("up down up down up", true));
        assert!(!agrees("up gone", true));
        let upstream = [states("ready faulty"), states("ready")];
        let agrees = |ours| Aspect::Checker.agrees(&upstream, &states(ours), false);
        assert!(agrees("faulty ready"));
        assert!(!agrees("ready shaky"));
    }
}

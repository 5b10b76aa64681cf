//! The timeline on the terminal and the verdicts drawn from it.

use crate::cell::Outcome;
use crate::event::{Event, Record};
use crate::{known, tree};

/// How a scenario went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark {
    Passed,
    /// Passed, but something waited for a hung device that should not have.
    Waited,
    /// Failed, as C is known to.
    Known,
    NotRun,
    Failed,
}

impl Mark {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Mark::Passed => "ok",
            Mark::Waited => "waits",
            Mark::Known => "fails",
            Mark::NotRun => "not run",
            Mark::Failed => "FAILED",
        }
    }
}

/// The timeline's line for a record; `None` for what only tables show.
pub(crate) fn line(record: &Record) -> Option<String> {
    let seconds = |ms: u64| ms as f64 / 1000.0;
    let verdict = |ok: bool| if ok { "ok    " } else { "FAILED" };
    let text = match &record.event {
        Event::Tree { packages } => tree::list(packages),
        Event::Ready { kernel } => format!("guest is up, kernel {kernel}"),
        Event::Begin { scenario } => format!("== {scenario}"),
        Event::Fault { what } => format!("FAULT   {what}"),
        Event::Release { what } => format!("RELEASE {what}"),
        Event::Path { path, view } => format!("        path {path}: {view}"),
        Event::Step {
            what, ok, after, ..
        } => {
            format!("{}  {what}, {:.1} s", verdict(*ok), seconds(*after))
        }
        Event::Took {
            what,
            ms,
            ok,
            waited,
        } => {
            let waited = if *waited {
                ", WAITED for the hung device"
            } else {
                ""
            };
            format!("{}  {what}: {:.1} s{waited}", verdict(*ok), seconds(*ms))
        }
        Event::Note { text } => format!("        {text}"),
        Event::NotRun { why } => format!("NOT RUN {why}"),
        Event::Figure { .. } | Event::End { .. } | Event::Done => return None,
    };
    Some(format!("{:8.3}  {text}", seconds(record.at)))
}

/// The records of one scenario.
pub(crate) fn of_scenario<'a>(records: &'a [Record], name: &str) -> Vec<&'a Record> {
    records
        .iter()
        .skip_while(|r| !matches!(&r.event, Event::Begin { scenario } if scenario == name))
        .take_while(|r| !matches!(&r.event, Event::End { .. } | Event::Done))
        .collect()
}

/// True if the scenario came to its end.
pub(crate) fn ended(records: &[Record], name: &str) -> bool {
    records
        .iter()
        .any(|r| matches!(&r.event, Event::End { scenario } if scenario == name))
}

/// The mark of one scenario in one run.
pub(crate) fn mark(outcome: &Outcome, scenario: &str) -> Mark {
    match judge(&outcome.records, scenario) {
        Mark::Failed if known::why(&outcome.cell, scenario).is_some() => Mark::Known,
        mark => mark,
    }
}

/// The same without a look at the cell. A scenario that did not come to its end has failed.
fn judge(records: &[Record], name: &str) -> Mark {
    let ended = ended(records, name);
    let scenario = of_scenario(records, name);
    if scenario.is_empty() {
        return Mark::NotRun;
    }
    let mut steps = 0;
    let mut not_run = false;
    let mut waits = false;
    for record in scenario {
        match record.event {
            Event::Step { ok: false, .. } | Event::Took { ok: false, .. } => return Mark::Failed,
            Event::Took { waited, .. } => {
                steps += 1;
                waits |= waited;
            }
            Event::Step { .. } => steps += 1,
            Event::NotRun { .. } => not_run = true,
            _ => {}
        }
    }
    match (ended, not_run, steps) {
        (false, ..) | (_, false, 0) => Mark::Failed,
        (_, true, _) => Mark::NotRun,
        _ if waits => Mark::Waited,
        _ => Mark::Passed,
    }
}

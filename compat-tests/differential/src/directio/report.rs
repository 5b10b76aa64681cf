// SPDX-License-Identifier: LGPL-2.0-or-later

//! What `compat-directio` prints: a line per scenario, the ledger's entries, the longest calls, steps.
#![forbid(unsafe_code)]

use super::compare::Comparison;
use super::observation::Call;
use super::run_host::Host;
use super::runner::End;
use super::scenarios::{self, On};
use super::tasks::{Comparer, Done, Options, Task};
use harness::ledger::{Ledger, Suite};
use harness::side::Side;
use harness::summary::Summary;
use harness::{Result, Trouble, output, say};
use std::collections::BTreeMap;
use std::time::Instant;

/// One line of the table.
pub(super) fn line(task: &Task, comparison: &Comparison) -> String {
    let ids = comparison.differences.iter();
    let ids: Vec<String> = ids.map(|(id, count)| format!("{id}×{count}")).collect();
    let mut verdict = if !comparison.mismatches.is_empty() {
        format!("{} MISMATCHES", comparison.mismatches.len())
    } else if let Some(why) = &comparison.not_run {
        format!("NOT RUN: {why}")
    } else {
        "ok".to_owned()
    };
    for mismatch in comparison.mismatches.iter().take(12) {
        verdict.push_str(&format!("\n    {mismatch}"));
    }
    format!(
        "{:<44} {:>5} {:>5}  {:<16} {verdict}",
        task.name(),
        comparison.steps,
        comparison.alone,
        ids.join(" "),
    )
}

/// The longest calls of one kind that began while a read hung, in milliseconds.
fn longest(done: &[(Task, Done)], side: usize, call: Call) -> String {
    let steps = done.iter().filter_map(|(_, done)| done.steps.get(side));
    steps
        .flatten()
        .filter(|step| step.call == call && step.hung)
        .map(|step| step.millis)
        .max()
        .map_or("–".to_owned(), |millis| format!("{millis} ms"))
}

pub(super) fn report(options: &Options, done: &[(Task, Done)], began: Instant) -> Result<Summary> {
    let mut summary = Summary::new();
    let (mut steps, mut alone, mut mismatches) = (0, 0, 0);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (task, done) in done {
        let comparison = &done.comparison;
        steps += comparison.steps;
        alone += comparison.alone;
        mismatches += comparison.mismatches.len();
        for (id, count) in &comparison.differences {
            *seen.entry(id.clone()).or_default() += count;
        }
        match (&comparison.not_run, comparison.mismatches.is_empty()) {
            (_, false) => summary.failed(task.name()),
            (Some(why), true) => summary.not_run(&task.name(), why),
            (None, true) => summary.passed(1),
        }
    }
    say!("");
    if !options.twice {
        check_ledger(options, &seen, &mut summary)?;
        for (call, name) in [(Call::Reset, "reset"), (Call::Free, "free")] {
            say!(
                "longest libcheck_{name} with a read hanging: ours {}, upstream {}",
                longest(done, 1, call),
                longest(done, 0, call)
            );
        }
    }
    let compared = done.iter().filter(|(task, _)| task.compared).count();
    say!(
        "{compared} scenarios compared in {steps} steps, {alone} steps checked on ours alone, \
         {mismatches} mismatches, {} s",
        began.elapsed().as_secs()
    );
    Ok(summary)
}

/// Prints the differences by entry of the ledger. Entries that no longer show fail, and those that
/// the ledger does not have for hosts of this ABI.
fn check_ledger(
    options: &Options,
    seen: &BTreeMap<String, usize>,
    summary: &mut Summary,
) -> Result<()> {
    let ledger = Ledger::read(&options.ledger).map_err(Trouble::Broken)?;
    let pinned = ledger.pinned(Suite::Directio, options.abi);
    let is_whole = options.filter.is_empty() && summary.is_complete();
    say!("differences by entry of {}:", options.ledger.display());
    for id in &pinned {
        let count = seen.get(id).copied().unwrap_or(0);
        let mut remark = "";
        if count == 0 && is_whole {
            remark = " FAILED: the entry is out of date, or its test is gone";
            summary.failed(format!("{id} does not show"));
        } else if count == 0 {
            remark = " (not all scenarios ran)";
        }
        say!("  {id:<5} {count:>6}{remark}");
    }
    for (id, count) in seen.iter().filter(|(id, _)| !pinned.contains(*id)) {
        let remark = format!(
            "the ledger does not name this suite with ABI {}",
            options.abi
        );
        say!("  {id:<5} {count:>6} FAILED: {remark}");
        summary.failed(format!("{id}: {remark}"));
    }
    Ok(())
}

/// Runs one side alone and prints every step with all its observations.
pub(super) fn print_steps(comparer: &Comparer<'_>, tasks: &[Task], side: Side) -> Summary {
    let mut summary = Summary::new();
    for task in tasks {
        if output::is_closed() {
            break;
        }
        say!("=== {}: {}", task.name(), task.scenario.about);
        let transcript = comparer.side(task, side);
        let mut result = match &transcript.end {
            End::Ended(outcome) => outcome.clone(),
            End::Died { during, how } => Err(Trouble::Broken(format!("{during}: {how}"))),
        };
        for step in &transcript.steps {
            say!("{} ({} ms)", step.label, step.millis);
            for observation in &step.observed {
                say!("    {}: {observation}", observation.name());
            }
            for why in &step.wrong {
                say!("    WRONG: {why}");
                result = Err(Trouble::Broken(why.clone()));
            }
        }
        if !transcript.remarks.is_empty() {
            say!("standard error: {}", transcript.remarks);
        }
        summary.enter(&task.name(), result);
    }
    summary
}

pub(super) fn list() {
    for scenario in scenarios::all() {
        let hosts = match scenario.on {
            On::Both | On::BothApart => "both plugins, 0.7.9".to_owned(),
            On::Ours(hosts) | On::Later(hosts) => {
                let names: Vec<String> = hosts.iter().map(Host::to_string).collect();
                format!("ours, {}", names.join("; "))
            }
        };
        say!("{:<26} {} ({hosts})", scenario.name, scenario.about);
    }
}

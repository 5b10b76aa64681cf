// SPDX-License-Identifier: LGPL-2.0-or-later

//! Selected mutants against upstream: the differential suite of the checker has to notice each.

use crate::copy::{Copy, last_line};
use crate::list::Mutant;
use crate::selected::{self, Selected};
use harness::summary::Summary;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Random replies per run: enough for every branch of the decision tables.
const REPLIES: &str = "20000";

/// Compares the whole plugin first, then one with each mutant.
pub(crate) fn run(quick: bool, checker: Option<&str>) -> Result<bool, String> {
    let mut selection = selected::read(Path::new("mutants-selected.toml"))?;
    selection.retain(|(one, _)| checker.is_none_or(|checker| one.checker == checker));
    if quick {
        let mut seen = BTreeSet::new();
        selection.retain(|(one, _)| seen.insert(one.checker.clone()));
    }
    let copy = Copy::new()?;
    let mut summary = Summary::new();
    let mut intact = BTreeSet::new();
    for (one, mutant) in &selection {
        let begin = Instant::now();
        let result = mutant
            .as_ref()
            .ok_or_else(|| "there is no such mutant any more".to_owned())
            .and_then(|mutant| {
                if intact.insert(suite_words(one)) {
                    whole(&copy, one)?;
                }
                broken(&copy, one, mutant)
            });
        match result {
            Ok(mismatches) => {
                println!(
                    "noticed, {mismatches} mismatches, {:.1} s: {}, ABI {}: {}",
                    begin.elapsed().as_secs_f64(),
                    one.checker,
                    one.abi,
                    one.mutant
                );
                summary.passed(1);
            }
            Err(why) => summary.failed(format!(
                "{}, ABI {}: {}: {why}",
                one.checker, one.abi, one.mutant
            )),
        }
    }
    summary.print();
    Ok(summary.is_good())
}

/// The plugin without a mutant has to pass first; otherwise a failure with a mutant would prove nothing.
fn whole(copy: &Copy, one: &Selected) -> Result<(), String> {
    build(copy, one)?;
    match compare(copy, one)? {
        0 => Ok(()),
        mismatches => Err(format!("{mismatches} mismatches without a mutant")),
    }
}

fn broken(copy: &Copy, one: &Selected, mutant: &Mutant) -> Result<usize, String> {
    copy.apply(mutant)?;
    let built = build(copy, one);
    let compared = built.and_then(|()| compare(copy, one));
    copy.restore(&mutant.file)?;
    match compared? {
        0 => Err("NOT NOTICED by the differential suite".to_owned()),
        mismatches => Ok(mismatches),
    }
}

fn build(copy: &Copy, one: &Selected) -> Result<(), String> {
    let package = format!("plugin-{}", one.checker.replace('_', "-"));
    let output = copy.cargo(&["build", "--quiet", "--locked", "--package", &package])?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("does not build: {}", last_line(&output.stderr)))
    }
}

/// The words of the suite's command, without its place of plugins.
fn suite_words(one: &Selected) -> Vec<String> {
    let mut words = vec!["--abi".to_owned(), one.abi.name().to_owned()];
    if one.checker == "directio" {
        words.insert(0, "scripts/compat-directio".to_owned());
        for case in &one.cases {
            words.extend(["--filter".to_owned(), case.clone()]);
        }
    } else {
        words.insert(0, "scripts/compat-scsi".to_owned());
        words.extend(
            [
                "--checker",
                &one.checker,
                "--replies",
                REPLIES,
                "--seed",
                "1",
            ]
            .map(str::to_owned),
        );
        if !one.protocol {
            words.push("--verdicts".to_owned());
        }
    }
    words
}

/// Runs the suite with the plugin of the copy. Returns how many comparisons failed.
fn compare(copy: &Copy, one: &Selected) -> Result<usize, String> {
    let words = suite_words(one);
    let (program, arguments) = words.split_first().ok_or("no command")?;
    let mut command = Command::new(program);
    command.args(arguments).env("PLUGINS", copy.libraries());
    let output = command
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    let line = last_line(&output.stdout);
    // A suite that came to its end says so in its last line.
    let failed = line
        .split_once(" passed, ")
        .and_then(|(_, rest)| rest.split_once(" failed"))
        .and_then(|(failed, _)| failed.parse::<usize>().ok());
    match failed {
        Some(failed) if (failed == 0) == output.status.success() => Ok(failed),
        _ => Err(format!(
            "was not compared: {} {}",
            line,
            last_line(&output.stderr)
        )),
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Selected mutants against unit tests.

use crate::copy::{Copy, last_line};
use crate::list::Mutant;
use crate::selected;
use harness::summary::Summary;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

/// Runs the unit tests of each crate, whole first, then with each of its mutants.
pub(crate) fn run() -> Result<bool, String> {
    let selection = selected::read(Path::new("mutants-selected.toml"))?;
    let copy = Copy::new()?;
    let packages: BTreeSet<&str> = selection
        .iter()
        .filter(|(one, _)| one.unit)
        .filter_map(|(_, mutant)| mutant.as_ref())
        .map(|mutant| mutant.package.as_str())
        .collect();
    let mut tests = vec!["test", "--quiet", "--locked", "--lib"];
    for package in &packages {
        tests.extend(["--package", package]);
    }
    let whole = copy.cargo(&tests)?;
    if !whole.status.success() {
        return Err(format!(
            "unit tests fail without a mutant: {}",
            last_line(&whole.stderr)
        ));
    }
    let mut summary = Summary::new();
    for (one, mutant) in selection.iter().filter(|(one, _)| one.unit) {
        let begin = Instant::now();
        match try_one(&copy, mutant.as_ref()) {
            Ok(()) => {
                println!(
                    "caught, {:.1} s: {}",
                    begin.elapsed().as_secs_f64(),
                    one.mutant
                );
                summary.passed(1);
            }
            Err(why) => summary.failed(format!("{}: {why}", one.mutant)),
        }
    }
    summary.print();
    Ok(summary.is_good())
}

fn try_one(copy: &Copy, mutant: Option<&Mutant>) -> Result<(), String> {
    let Some(mutant) = mutant else {
        return Err("there is no such mutant any more".to_owned());
    };
    copy.apply(mutant)?;
    let package = ["--quiet", "--locked", "--lib", "--package", &mutant.package];
    let built = copy.cargo(&[&["test", "--no-run"], &package[..]].concat());
    let tested = copy.cargo(&[&["test"], &package[..]].concat());
    copy.restore(&mutant.file)?;
    let built = built?;
    if !built.status.success() {
        return Err(format!("does not build: {}", last_line(&built.stderr)));
    }
    if tested?.status.success() {
        return Err("NOT NOTICED by the unit tests".to_owned());
    }
    Ok(())
}

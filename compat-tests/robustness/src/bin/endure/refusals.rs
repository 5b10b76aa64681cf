// SPDX-License-Identifier: LGPL-2.0-or-later

//! Memory, threads, descriptors, AIO contexts and requests are refused to a plugin, at every place in turn,
//! by hosts in the role `shortage`.

#![forbid(unsafe_code)]

use crate::lanes;
use crate::options::{Options, Subject};
use crate::report::Report;
use bench::devices::{Devices, Release};
use harness::process::TestHost;
use harness::{Doing, Result, Trouble, say};
use robustness::protocol::{Case, CaseEnd, Effect, Refused, ShortageMessage, ShortageOrder};
use std::collections::BTreeMap;
use std::path::Path;

/// How many failed cases of a plugin are shown.
const SHOWN: usize = 12;

/// The file that hangs.
const HELD: usize = 0;

/// How many cases ended in each way.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    init_failed: u32,
    unchecked: u32,
    unaffected: u32,
    failed: u32,
}

/// The cases of one plugin.
#[derive(Default)]
struct Cases {
    rows: BTreeMap<Refused, Row>,
    failures: Vec<String>,
}

/// Refuses resources to every plugin.
pub(crate) fn run(options: &Options, report: &mut Report) {
    let subjects = options.ours();
    if subjects.is_empty() {
        let why = format!("no plugins in {}", options.ours.display());
        report.end("shortage", Err(Trouble::NotHere(why)));
    }
    let file = match lanes::file() {
        Ok(file) => file,
        Err(trouble) => return report.end("shortage", Err(trouble)),
    };
    let results = lanes::all(&subjects, |subject| cases(options, subject, file.path()));
    let mut table = BTreeMap::<(String, Refused), Row>::new();
    for (subject, result) in subjects.iter().zip(results) {
        let name = format!("refusals: {}", subject.name());
        let result = result.and_then(|cases| {
            for (refused, row) in &cases.rows {
                let key = (subject.checker.clone(), *refused);
                table.entry(key).or_default().add(*row);
            }
            cases.describe()
        });
        report.end(&name, result);
    }
    print(&table);
}

/// All cases of one plugin.
fn cases(options: &Options, subject: &Subject, file: &Path) -> Result<Cases> {
    let mut devices = Devices::default();
    let held_file = match subject.checker.as_str() {
        "directio" => Some(devices.stalling_file(HELD)?),
        _ => None,
    };
    let mut host = TestHost::start(&mut lanes::command(subject, "shortage")?)?;
    let order = ShortageOrder {
        plugin: lanes::plugin(subject)?,
        file: file.to_owned(),
        held_file,
        long: options.long,
    };
    host.send(&order).doing("giving an order")?;
    let mut cases = Cases::default();
    let ended = loop {
        match host.receive().doing("reading a report")? {
            Some(ShortageMessage::Hold) => {
                devices.hold(HELD)?;
                host.send(&()).doing("replying")?;
            }
            Some(ShortageMessage::Release) => {
                devices.release(HELD, Release::Data)?;
                host.send(&()).doing("replying")?;
            }
            Some(ShortageMessage::Case(case, end)) => cases.add(case, end),
            Some(ShortageMessage::End) => break true,
            None => break false,
        }
    };
    devices.release_all();
    host.end()?;
    match ended {
        true => Ok(cases),
        false => Err(Trouble::Broken("the host ended early".to_owned())),
    }
}

impl Cases {
    fn add(&mut self, case: Case, end: CaseEnd) {
        let row = self.rows.entry(case.refused).or_default();
        match end {
            CaseEnd::Passed(Effect::None) => row.unaffected += 1,
            CaseEnd::Passed(Effect::Unchecked) => row.unchecked += 1,
            CaseEnd::Passed(Effect::InitFailed) => row.init_failed += 1,
            CaseEnd::Failed(why) => {
                row.failed += 1;
                self.failures.push(format!("{case:?}: {why}"));
            }
        }
    }

    fn describe(&self) -> Result<String> {
        let mut sum = Row::default();
        self.rows.values().for_each(|row| sum.add(*row));
        if self.failures.is_empty() {
            return Ok(format!("{} cases", sum.cases()));
        }
        let shown: Vec<&str> = self
            .failures
            .iter()
            .take(SHOWN)
            .map(String::as_str)
            .collect();
        Err(Trouble::Broken(format!(
            "{} of {} cases:\n    {}",
            sum.failed,
            sum.cases(),
            shown.join("\n    ")
        )))
    }
}

impl Row {
    fn add(&mut self, other: Row) {
        self.init_failed += other.init_failed;
        self.unchecked += other.unchecked;
        self.unaffected += other.unaffected;
        self.failed += other.failed;
    }

    fn cases(&self) -> u32 {
        self.init_failed + self.unchecked + self.unaffected + self.failed
    }
}

fn print(table: &BTreeMap<(String, Refused), Row>) {
    let line = |checker: &str, refused: &str, row: &Row| {
        say!(
            "{checker:<12} {refused:<14} {:>7} {:>12} {:>10} {:>11} {:>7}",
            row.cases(),
            row.init_failed,
            row.unchecked,
            row.unaffected,
            row.failed
        );
    };
    say!("");
    say!("What the refusals cost; afterwards each path was up, and nothing was left behind");
    say!(
        "{:<12} {:<14} {:>7} {:>12} {:>10} {:>11} {:>7}",
        "",
        "refused",
        "cases",
        "failed init",
        "UNCHECKED",
        "unaffected",
        "FAILED"
    );
    let mut sum = Row::default();
    for ((checker, refused), row) in table {
        sum.add(*row);
        line(checker, &refused.to_string(), row);
    }
    line("all", "", &sum);
}

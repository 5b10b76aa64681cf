// SPDX-License-Identifier: LGPL-2.0-or-later

//! The numbers of one run, and their file.
//!
//! The file is a CSV without quotes. Its first lines begin with `#` and hold what is true of the whole
//! run, as `# name: text`, and what could not be measured, as `# not run: text`.

#![forbid(unsafe_code)]

use crate::case::Case;
use crate::contender::Contender;
use crate::figure::{Figure, Spread};
use harness::{Doing, Result, Trouble};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

const COLUMNS: &str = "checker,paths,device,hung %,figure,contender,median,least,most";
const NOT_RUN: &str = "not run";

/// Numbers by case and figure, then by contender.
pub(crate) type Rows = BTreeMap<(Case, Figure), BTreeMap<Contender, Spread>>;

/// The numbers of one run.
#[derive(Default)]
pub(crate) struct Results {
    /// What is true of all of them, by name.
    pub(crate) head: Vec<(String, String)>,
    pub(crate) rows: Rows,
    pub(crate) not_run: Vec<String>,
}

impl Results {
    /// Without numbers yet; the head names the machine and what is measured.
    pub(crate) fn new(upstream: &[String]) -> Results {
        let run = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output();
            output.map_or(String::new(), |output| {
                String::from_utf8_lossy(&output.stdout).trim().to_owned()
            })
        };
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let processor = processors
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown processor", |(_, name)| name);
        let count = std::thread::available_parallelism().map_or(0, |count| count.get());
        let load = read("/proc/loadavg");
        let load = load.split(' ').next().unwrap_or("?");
        let head = [
            ("date", run("date", &["-u", "+%F %H:%M UTC"])),
            ("machine", format!("{count} × {processor}, load {load}")),
            ("kernel", run("uname", &["-srm"])),
            ("commit", run("git", &["describe", "--always", "--dirty"])),
            ("upstream", upstream.join(", ")),
        ];
        Results {
            head: head.map(|(name, text)| (name.to_owned(), text)).into(),
            ..Results::default()
        }
    }

    /// Adds the samples of one number.
    pub(crate) fn add(
        &mut self,
        case: &Case,
        figure: Figure,
        contender: Contender,
        samples: &[f64],
    ) {
        if let Some(spread) = Spread::of(samples) {
            let row = self.rows.entry((case.clone(), figure)).or_default();
            row.insert(contender, spread);
        }
    }

    /// One number, if it was measured.
    pub(crate) fn get(&self, case: &Case, figure: &Figure, contender: Contender) -> Option<f64> {
        let row = self.rows.get(&(case.clone(), figure.clone()))?;
        row.get(&contender).map(|spread| spread.median)
    }

    /// Whether anything was measured of this checker.
    pub(crate) fn has_checker(&self, checker: &str) -> bool {
        self.rows.keys().any(|(case, _)| case.checker == checker)
    }

    /// The file's text.
    pub(crate) fn to_csv(&self) -> String {
        let not_run = self.not_run.iter().map(|what| (NOT_RUN, what.as_str()));
        let head = self.head.iter().map(|(name, text)| (&**name, &**text));
        let mut csv = String::new();
        for (name, text) in head.chain(not_run) {
            let _ = writeln!(csv, "# {name}: {text}");
        }
        csv += COLUMNS;
        csv.push('\n');
        for ((case, figure), row) in &self.rows {
            let Case {
                checker,
                device,
                hung,
                paths,
            } = case;
            for (contender, spread) in row {
                let numbers = [spread.median, spread.least, spread.most].map(digits);
                let numbers = numbers.join(",");
                let _ = writeln!(
                    csv,
                    "{checker},{paths},{device},{hung},{figure},{contender},{numbers}"
                );
            }
        }
        csv
    }

    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Results> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).doing(&name)?;
        Results::parse(&text).map_err(|why| Trouble::Broken(format!("{name}: {why}")))
    }

    fn parse(text: &str) -> std::result::Result<Results, String> {
        let mut results = Results::default();
        for line in text.lines().filter(|line| *line != COLUMNS) {
            if let Some(head) = line.strip_prefix("# ") {
                match head.split_once(": ") {
                    Some((NOT_RUN, what)) => results.not_run.push(what.to_owned()),
                    Some((name, text)) => results.head.push((name.to_owned(), text.to_owned())),
                    None => return Err(format!("no name in {line:?}")),
                }
                continue;
            }
            let fields: Vec<&str> = line.split(',').collect();
            let [
                checker,
                paths,
                device,
                hung,
                figure,
                contender,
                median,
                least,
                most,
            ] = *fields.as_slice()
            else {
                return Err(format!("not nine fields: {line:?}"));
            };
            let case = Case {
                checker: checker.to_owned(),
                paths: number(paths)?,
                device: device.parse()?,
                hung: number(hung)?,
            };
            let spread = Spread {
                median: number(median)?,
                least: number(least)?,
                most: number(most)?,
            };
            let row = results.rows.entry((case, figure.parse()?)).or_default();
            row.insert(contender.parse()?, spread);
        }
        Ok(results)
    }
}

/// Four significant digits.
fn digits(value: f64) -> String {
    let places = match value.abs() {
        size if value == value.trunc() || size >= 1000.0 => 0,
        size if size >= 1.0 => 3 - size.log10() as usize,
        _ => 4,
    };
    format!("{value:.places$}")
}

/// A number of a file.
pub(crate) fn number<T: std::str::FromStr>(text: &str) -> std::result::Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use harness::abi::Abi;

    #[test]
    fn a_file_is_read_as_written() {
        let mut results = Results::default();
        results.head.push(("kernel".to_owned(), "Linux".to_owned()));
        results.not_run.push("tur: upstream 0.15".to_owned());
        let case = Case::new("tur", 64);
        let ours = Contender::Ours(Abi::V0_11);
        results.add(&case, Figure::Round, ours, &[0.25, 1.5, 4096.0]);
        let csv = results.to_csv();
        let read = Results::parse(&csv).unwrap();
        assert_eq!(read.to_csv(), csv);
        assert_eq!(read.get(&case, &Figure::Round, ours), Some(1.5));
        assert_eq!(read.not_run, results.not_run);
        assert!(csv.contains("tur,64,SCSI,0,round (ms),ours 0.11,1.500,0.2500,4096"));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for bad in [
            "tur,64,SCSI,0,round (ms),ours 0.11,1,1",
            "tur,64,disk,0,round (ms),ours 0.11,1,1,1",
            "tur,64,SCSI,0,rounds,ours 0.11,1,1,1",
            "tur,64,SCSI,0,round (ms),theirs 0.11,1,1,1",
            "tur,64,SCSI,0,round (ms),ours 0.11,one,1,1",
        ] {
            assert!(Results::parse(bad).is_err(), "{bad}");
        }
    }
}

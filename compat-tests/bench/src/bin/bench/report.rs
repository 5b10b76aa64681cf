//! What is printed.

use crate::case::Case;
use crate::figures::{Figure, Quantity, short};
use crate::options::Options;
use crate::side::Who;
use crate::targets;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

const TITLE: &str = "\
# What a check costs

<!-- Written by scripts/bench --markdown. Change nothing here by hand. -->";

const LEGEND: &str = "\
Medians, and (least–most), of turns that the sides take round by round. A round starts the checks of
all paths and asks for their verdicts until the last is in; the processor time is that of the whole
process at the daemon's pace, which sleeps 5 ms between starting and asking. `floor` is one bare
`io_submit` per check with completions read from the ring, or the bare `ioctl`, called inline; `batched`
submits up to 1024 reads at a time. With hung paths the floor is the start of a thread for each of them,
and nothing else. The letter is the abi of the host: B is multipath-tools 0.7.9 to 0.10, C 0.11 to 0.14,
D 0.15. SCSI devices are an `ioctl` of the host process that answers at once unless a time is given.
Bytes are of a process whose memory is locked, as multipathd's is.";

/// Who makes which system calls per check.
struct SyscallsOf {
    checker: String,
    who: Who,
    parts: Vec<(String, f64)>,
}

/// Figures as they come in.
pub(crate) struct Report {
    c_releases: Vec<String>,
    markdown: bool,
    figures: BTreeMap<(Case, Quantity), BTreeMap<Who, Figure>>,
    syscalls: Vec<SyscallsOf>,
    not_run: Vec<String>,
}

/// What stands below the promises.
const LIMITS: &str = "\
`floor` in this table is the floor's ratio to the same figure: nobody can do with less. In a first round
with hung paths two promises pull against each other: at most 16 threads for devices that answer within
a millisecond means that no more than 15 workers can be given up in each, so hundreds of hung paths hold
that round up for tens of milliseconds. Later rounds start none. In abi B the first check of a hung path
waits a millisecond for its answer besides, as C's does. And there host and worker hand over to each
other for every check, which takes one of two times, far apart, depending on whether the scheduler puts
them on one processor or on two: see the spread. pathcheck opens every device, asks sysfs about it, and
does so in a process of its own, to outlive a device that hangs: no run of it can cost as little as the
check alone. The floor of its second row looks the devices up and opens them, too.";

impl Report {
    pub(crate) fn new(options: &Options) -> Report {
        Report {
            c_releases: options
                .c
                .iter()
                .map(|release| release.version.clone())
                .collect(),
            markdown: options.markdown,
            figures: BTreeMap::new(),
            syscalls: Vec::new(),
            not_run: Vec::new(),
        }
    }

    /// Enters the samples of one figure.
    pub(crate) fn enter(&mut self, case: &Case, quantity: Quantity, who: Who, samples: &[f64]) {
        if let Some(figure) = Figure::of(samples) {
            let row = self.figures.entry((case.clone(), quantity)).or_default();
            row.insert(who, figure);
        }
    }

    /// Which system calls a check made, and how many of each.
    pub(crate) fn note_syscalls(&mut self, case: &Case, who: Who, parts: Vec<(String, f64)>) {
        let checker = case.checker.clone();
        self.syscalls.push(SyscallsOf {
            checker,
            who,
            parts,
        });
    }

    /// Something that could not be measured here.
    pub(crate) fn not_run(&mut self, what: String) {
        self.not_run.push(what);
    }

    pub(crate) fn has_checker(&self, checker: &str) -> bool {
        self.figures.keys().any(|(case, _)| case.checker == checker)
    }

    /// The figure of the first case that fits.
    pub(crate) fn find(
        &self,
        fits: impl Fn(&Case) -> bool,
        quantity: Quantity,
        who: Who,
    ) -> Option<Figure> {
        self.figures
            .iter()
            .filter(|((case, other), _)| *other == quantity && fits(case))
            .find_map(|(_, row)| row.get(&who).copied())
    }

    /// Prints everything.
    pub(crate) fn print(mut self) {
        self.print_header();
        let checkers: BTreeSet<String> = self
            .figures
            .keys()
            .map(|(case, _)| case.checker.clone())
            .collect();
        for checker in &checkers {
            self.print_checker(checker);
        }
        self.print_syscalls();
        self.print_targets();
        println!();
        println!("{} not run", self.not_run.len());
        for what in &self.not_run {
            println!("{}{what}", self.bullet());
        }
    }

    fn bullet(&self) -> &'static str {
        if self.markdown { "* " } else { "  " }
    }

    fn heading(&self, text: &str) {
        println!();
        if self.markdown {
            println!("## {text}");
        } else {
            println!("{text}");
        }
        println!();
    }

    fn print_header(&self) {
        if self.markdown {
            println!("{TITLE}");
            println!();
        }
        let run = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output();
            output.map_or(String::new(), |output| {
                String::from_utf8_lossy(&output.stdout).trim().to_owned()
            })
        };
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = processor
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown processor", |(_, name)| name)
            .to_owned();
        let count = std::thread::available_parallelism().map_or(0, |count| count.get());
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or("?");
        println!(
            "{}date: {}",
            self.bullet(),
            run("date", &["-u", "+%F %H:%M UTC"])
        );
        println!(
            "{}machine: {count} × {processor}, load {load}",
            self.bullet()
        );
        println!("{}kernel: {}", self.bullet(), run("uname", &["-srm"]));
        let release = match self.c_releases.join(", ") {
            none if none.is_empty() => "none".to_owned(),
            some => some,
        };
        println!("{}C's plugins: {release}", self.bullet());
        println!();
        println!("{LEGEND}");
    }

    fn print_checker(&self, checker: &str) {
        self.heading(checker);
        let rows: Vec<_> = self
            .figures
            .iter()
            .filter(|((case, _), _)| case.checker == checker)
            .collect();
        let columns: BTreeSet<Who> = rows
            .iter()
            .flat_map(|(_, row)| row.keys().copied())
            .collect();
        let mut table = vec![
            std::iter::once("paths and figure".to_owned())
                .chain(columns.iter().map(Who::to_string))
                .collect::<Vec<_>>(),
        ];
        for ((case, quantity), row) in rows {
            let mut cells = vec![format!("{}{}: {quantity}", case.paths, case.condition())];
            for who in &columns {
                cells.push(row.get(who).map_or("–".to_owned(), Figure::to_string));
            }
            table.push(cells);
        }
        self.print_table(&table);
    }

    fn print_syscalls(&self) {
        if self.syscalls.is_empty() {
            return;
        }
        self.heading("Which system calls a check makes");
        for SyscallsOf {
            checker,
            who,
            parts,
        } in &self.syscalls
        {
            let parts: Vec<String> = parts
                .iter()
                .map(|(name, count)| format!("{name} {}", short(*count)))
                .collect();
            let parts = match parts.join(", ") {
                none if none.is_empty() => "none".to_owned(),
                some => some,
            };
            println!("{}{checker}, {who}: {parts}", self.bullet());
        }
    }

    fn print_targets(&mut self) {
        self.heading("Promised ratios");
        let mut table = vec![
            ["figure", "promise", "measured", "floor", ""]
                .map(str::to_owned)
                .to_vec(),
        ];
        let (mut met, mut missed) = (0, 0);
        for outcome in targets::outcomes(self) {
            match outcome.kept {
                Some(true) => met += 1,
                Some(false) => missed += 1,
                None => self.not_run(format!("{} {}", outcome.what, outcome.promise)),
            }
            let mark = outcome.to_string();
            table.push(vec![
                outcome.what,
                outcome.promise,
                outcome.measured,
                outcome.floor,
                mark,
            ]);
        }
        self.print_table(&table);
        println!();
        println!("{met} met, {missed} not met");
        println!();
        println!("{LIMITS}");
    }

    /// The first row is the heading.
    fn print_table(&self, table: &[Vec<String>]) {
        let count = table.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = table.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..count).map(width).collect();
        for (index, row) in table.iter().enumerate() {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            if self.markdown {
                println!("| {} |", cells.join(" | "));
                if index == 0 {
                    println!("|{}", "---|".repeat(count));
                }
            } else {
                println!("{}", cells.join("  ").trim_end());
            }
        }
    }
}

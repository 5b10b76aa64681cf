//! A real multipathd over faulty SCSI disks in a User-Mode Linux guest.
//!
//! One program is both halves: on the host it prepares a Debian tree, boots a guest on it and
//! judges what the guest reports; in the guest it plays the scenarios.

mod args;
mod cell;
mod compare;
mod event;
mod exec;
mod guest;
mod job;
mod known;
mod recorded;
mod report;
mod rows;
mod runs;
mod table;
mod tree;
mod vm;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread::ScopedJoinHandle;

use anyhow::{Context, Result, bail};
use args::Arguments;
use cell::{Cell, Outcome};
use report::{Mark, mark};
use tree::{Suite, Tree};

/// Nothing could be run.
const NOT_RUN: u8 = 3;
/// The command of `--exec` could not be run; chroot(1), env(1) and timeout(1) say it so, too.
const NOT_EXECUTED: u8 = 125;

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some("guest") => guest::main().map(|()| ExitCode::SUCCESS),
        _ => run(&Arguments::read()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("lab: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.list {
        list();
        return Ok(ExitCode::SUCCESS);
    }
    if !arguments.report.is_empty() {
        let outcomes = recorded::load(&arguments.report)?;
        if arguments.json {
            print!("{}", rows::rows(&outcomes)?);
            return Ok(ExitCode::SUCCESS);
        }
        return Ok(conclude(&outcomes, true));
    }
    let cache = std::env::var_os("LAB_CACHE").map_or("target/lab".into(), PathBuf::from);
    std::fs::create_dir_all(&cache).with_context(|| cache.display().to_string())?;
    let cache = cache.canonicalize()?;
    if let Err(error) = tree::install_tools() {
        println!("NOT RUN: {error:#}");
        return Ok(ExitCode::from(NOT_RUN));
    }
    let trees = trees(&cache, arguments);
    if !arguments.exec.is_empty() {
        return Ok(execute(&cache, &trees, arguments));
    }
    let runs = runs::create(&cache, arguments.keep)?;
    let outcomes = play(arguments, &trees, &runs);
    println!("\nLogs, consoles and timelines: {}\n", runs.display());
    Ok(conclude(&outcomes, arguments.compare))
}

/// Runs the command of `--exec` in place of this program; what comes back could not be run.
fn execute(cache: &Path, trees: &BTreeMap<Suite, Tree>, arguments: &Arguments) -> ExitCode {
    if let Some(tree) = trees.values().next() {
        let error = exec::exec(cache, tree, &arguments.plugins, &arguments.exec);
        eprintln!("lab: {error:#}");
    }
    ExitCode::from(NOT_EXECUTED)
}

fn list() {
    for scenario in guest::SCENARIOS {
        let short = if scenario.short { "short" } else { "" };
        println!("{:12} {short:6} {}", scenario.name, scenario.about);
    }
}

/// The trees that can be had; what cannot be had is said and is missing in the map.
fn trees(cache: &Path, arguments: &Arguments) -> BTreeMap<Suite, Tree> {
    let suites = arguments.suites();
    let prepare = |&suite| tree::prepare(cache, suite, arguments.rebuild);
    // A tree that has to be made is a minute of waiting for the mirror.
    let prepared: Vec<Result<Tree>> = std::thread::scope(|scope| {
        let threads: Vec<_> = suites
            .iter()
            .map(|suite| scope.spawn(move || prepare(suite)))
            .collect();
        let join = |thread: ScopedJoinHandle<_>| {
            thread
                .join()
                .unwrap_or_else(|_| bail!("the thread panicked"))
        };
        threads.into_iter().map(join).collect()
    });
    let mut trees = BTreeMap::new();
    for (suite, tree) in suites.into_iter().zip(prepared) {
        match tree {
            Ok(tree) => {
                eprintln!("{}: {}", suite.name(), tree::list(&tree.packages));
                trees.insert(suite, tree);
            }
            Err(error) => eprintln!("NOT RUN: {}: {error:#}", suite.name()),
        }
    }
    trees
}

/// Plays all cells, so many at a time as asked for; the outcomes are in the order of the cells.
fn play(arguments: &Arguments, trees: &BTreeMap<Suite, Tree>, runs: &Path) -> Vec<Outcome> {
    let cells = arguments.cells();
    let next = Mutex::new(cells.iter().enumerate());
    let outcomes = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs() {
            scope.spawn(|| {
                loop {
                    let Some((number, cell)) = next.lock().ok().and_then(|mut next| next.next())
                    else {
                        return;
                    };
                    let prefix = prefix(cell, cells.len());
                    let tree = trees.get(&cell.suite);
                    let played = play_cell(arguments, cell, tree, &prefix, |attempt| {
                        runs.join(format!("{:02}{attempt}-{}", number + 1, cell.name()))
                    });
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.insert(number, played);
                    }
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_default();
    outcomes.into_values().flatten().collect()
}

/// Plays one cell, each attempt in a directory of its own; in the short form and the matrix, what
/// has failed, or was not run because the guest died, once more. They are gates on machines that may
/// be busy with other work, where a guest can be starved for seconds.
fn play_cell(
    arguments: &Arguments,
    cell: &Cell,
    tree: Option<&Tree>,
    prefix: &str,
    directory: impl Fn(&str) -> PathBuf,
) -> Vec<Outcome> {
    let scenarios = arguments.scenarios(cell.checker);
    let Some(tree) = tree else {
        return vec![Outcome::not_run(cell, scenarios, "no tree")];
    };
    let play = |scenarios, directory| {
        let plugins = arguments.plugins.directory();
        let short = arguments.short;
        cell::run(cell, tree, plugins, scenarios, short, directory, prefix)
    };
    let mut first = play(scenarios, directory(""));
    let failed = |scenario: &String| mark(&first, scenario) >= Mark::NotRun;
    let (again, good): (Vec<_>, Vec<_>) = first.scenarios.iter().cloned().partition(failed);
    if again.is_empty() || !(arguments.short || arguments.matrix) {
        return vec![first];
    }
    println!("AGAIN {}: {}", cell.name(), again.join(", "));
    first.scenarios = good;
    vec![first, play(again, directory("b"))]
}

/// The cell's name, where lines of several cells appear.
fn prefix(cell: &Cell, cells: usize) -> String {
    if cells > 1 {
        format!("{:24}", cell.name())
    } else {
        String::new()
    }
}

/// Prints the tables, the comparison if asked for, what was not run, and the counts.
fn conclude(outcomes: &[Outcome], compare: bool) -> ExitCode {
    println!(
        "{}{}{}\n",
        table::marks(outcomes),
        table::times(outcomes),
        table::figures(outcomes)
    );
    let mut differs = false;
    if compare {
        let comparison = compare::compare(outcomes);
        println!("{}", comparison.text);
        differs = comparison.differs;
    }
    let mut marks: BTreeMap<Mark, Vec<String>> = BTreeMap::new();
    for outcome in outcomes {
        for scenario in &outcome.scenarios {
            let mut line = format!("{} {scenario}", outcome.cell.name());
            let mark = mark(outcome, scenario);
            if let (Mark::Known, Some(why)) = (mark, known::why(&outcome.cell, scenario)) {
                line.push_str(&format!(": {why}"));
            }
            marks.entry(mark).or_default().push(line);
        }
    }
    let of = |mark| marks.get(&mark).map_or(&[][..], Vec::as_slice);
    for (mark, title) in [
        (
            Mark::Waited,
            "WAITED for a hung device, and passed otherwise:",
        ),
        (Mark::Known, "FAILED with C, as it is known to:"),
        (Mark::Failed, "FAILED:"),
        (Mark::NotRun, "NOT RUN:"),
    ] {
        if !of(mark).is_empty() {
            println!("{title}\n  {}", of(mark).join("\n  "));
        }
    }
    let passed = [Mark::Passed, Mark::Waited, Mark::Known]
        .map(|mark| of(mark).len())
        .iter()
        .sum();
    let (failed, not_run) = (of(Mark::Failed).len(), of(Mark::NotRun).len());
    println!("{passed} passed, {failed} failed, {not_run} skipped");
    match (differs || failed > 0, passed) {
        (true, _) => ExitCode::FAILURE,
        (false, 0) => ExitCode::from(NOT_RUN),
        (false, _) => ExitCode::SUCCESS,
    }
}

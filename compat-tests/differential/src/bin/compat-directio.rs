//! Compares our directio plugin with the one of a multipath-tools release.

use differential::directio::compare::{self, Comparison, LEVELS, Names};
use differential::directio::host::Host;
use differential::directio::runner::{self, Play, Transcript};
use differential::directio::scenarios::{self, On, Scenario};
use differential::directio::session::Side;
use differential::directio::wire::{Call, Step};
use harness::abi::Abi;
use harness::ledger::{Ledger, Suite};
use harness::surroundings::Surroundings;
use harness::{Result, Trouble};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

const USAGE: &str = "\
usage: compat-directio [option …]
  --c FILE         the C plugin       (target/debian/bookworm/lib/multipath/libcheckdirectio.so)
  --ours FILE      our plugin         (target/plugins/libcheckdirectio.so)
  --abi ABI        the C plugin's ABI: 0.7.9, 0.11, 0.14 or 0.15 (0.7.9)
  --ledger FILE    known differences  (docs/differences.toml)
  --filter TEXT    only scenarios whose name contains TEXT; may be given more than once
  --seed N         where random walks begin (1)
  --jobs N         how many scenarios run at once (4)
  --c-only         play the C plugin alone and print what it does
  --ours-only      play our plugin alone, in the hosts it is compared in, and print what it does
  --c-twice        compare the C plugin with itself: whatever differs is the test's fault
  --list           print the scenarios
Scenarios that this machine cannot run are listed and counted as skipped.";

/// Nobody reads our output any more.
static UNHEARD: AtomicBool = AtomicBool::new(false);

/// Prints a line. When the reader has gone (`| head`), what is being played is played to its end, so
/// that its devices are put away, and no more.
macro_rules! say {
    ($($text:tt)*) => {
        if writeln!(std::io::stdout(), $($text)*).is_err() {
            UNHEARD.store(true, Ordering::Relaxed);
        }
    };
}

fn unheard() -> bool {
    UNHEARD.load(Ordering::Relaxed)
}

/// The one setting of the machine that a scenario changes.
const AIO_MAX_NR: &str = "/proc/sys/fs/aio-max-nr";

/// What is to be done with the plugins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Compare,
    CTwice,
    Watch(Side),
    List,
}

struct Options {
    mode: Mode,
    c: PathBuf,
    ours: PathBuf,
    abi: Host,
    ledger: PathBuf,
    filters: Vec<String>,
    seed: u64,
    jobs: usize,
}

fn options() -> Result<Option<Options>> {
    let mut options = Options {
        mode: Mode::Compare,
        c: PathBuf::from("target/debian/bookworm/lib/multipath/libcheckdirectio.so"),
        ours: PathBuf::from("target/plugins/libcheckdirectio.so"),
        abi: Host::B,
        ledger: PathBuf::from("docs/differences.toml"),
        filters: Vec::new(),
        seed: 1,
        jobs: 4,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| Trouble::Broken(format!("{argument} needs a value\n{USAGE}")))
        };
        let number = |text: String| {
            text.parse::<u64>()
                .map_err(|_| Trouble::Broken(format!("{text:?} is no number\n{USAGE}")))
        };
        match argument.as_str() {
            "--c" => options.c = value()?.into(),
            "--ours" => options.ours = value()?.into(),
            "--abi" => {
                let name = value()?;
                options.abi = [Host::B, Host::C, Host::CPrime, Host::D]
                    .into_iter()
                    .find(|host| host.name() == name)
                    .ok_or_else(|| Trouble::Broken(format!("no ABI {name}\n{USAGE}")))?;
            }
            "--ledger" => options.ledger = value()?.into(),
            "--filter" => options.filters.push(value()?),
            "--seed" => options.seed = number(value()?)?,
            "--jobs" => options.jobs = usize::try_from(number(value()?)?).unwrap_or(1).max(1),
            "--c-only" => options.mode = Mode::Watch(Side::C),
            "--ours-only" => options.mode = Mode::Watch(Side::Ours),
            "--c-twice" => options.mode = Mode::CTwice,
            "--list" => options.mode = Mode::List,
            "--help" | "-h" => {
                say!("{USAGE}");
                return Ok(None);
            }
            other => return Err(Trouble::Broken(format!("unknown option {other}\n{USAGE}"))),
        }
    }
    Ok(Some(options))
}

/// One scenario in one host.
#[derive(Clone, Copy)]
struct Task {
    scenario: &'static Scenario,
    host: Host,
    compared: bool,
}

impl Task {
    fn name(&self) -> String {
        if self.compared {
            self.scenario.name.to_owned()
        } else {
            format!("{} [{}]", self.scenario.name, self.host.name())
        }
    }
}

/// What came of a task.
struct Done {
    comparison: Comparison,
    /// Both sides' steps, the C plugin's first, for the times that calls took.
    steps: [Vec<Step>; 2],
}

fn tasks(options: &Options) -> Vec<Task> {
    let wanted = |scenario: &&Scenario| {
        options.filters.is_empty()
            || options
                .filters
                .iter()
                .any(|text| scenario.name.contains(text))
    };
    let mut tasks = Vec::new();
    for scenario in scenarios::all().filter(wanted) {
        match scenario.on {
            On::Both if options.abi == Host::B => tasks.push(Task {
                scenario,
                host: Host::B,
                compared: true,
            }),
            On::Later(hosts) if hosts.contains(&options.abi) => tasks.push(Task {
                scenario,
                host: options.abi,
                compared: true,
            }),
            On::Ours(hosts) | On::Later(hosts)
                if options.abi == Host::B && options.mode == Mode::Compare =>
            {
                tasks.extend(hosts.iter().map(|host| Task {
                    scenario,
                    host: *host,
                    compared: false,
                }));
            }
            _ => {}
        }
    }
    tasks
}

struct Bench<'a> {
    options: &'a Options,
    surroundings: Surroundings,
}

impl Bench<'_> {
    fn play(&self, task: &Task, side: Side, plugin: &Path) -> Transcript {
        runner::play(&Play {
            scenario: task.scenario.name,
            host: task.host,
            side,
            plugin,
            surroundings: &self.surroundings,
            seed: self.options.seed,
        })
    }

    /// Plays both sides, at the same time unless they would disturb each other, and compares.
    fn run(&self, task: &Task) -> Done {
        let same = self.options.mode == Mode::CTwice;
        let ours = if same {
            &self.options.c
        } else {
            &self.options.ours
        };
        // The other side of a comparison of C with itself is told that it is C, too.
        let side = if same { Side::C } else { Side::Ours };
        if !task.compared {
            let transcript = self.play(task, Side::Ours, ours);
            return Done {
                comparison: compare::alone("ours", &transcript),
                steps: [Vec::new(), transcript.steps],
            };
        }
        let (theirs, mine) = if task.scenario.exclusive {
            (
                self.play(task, Side::C, &self.options.c),
                self.play(task, side, ours),
            )
        } else {
            std::thread::scope(|scope| {
                let theirs = scope.spawn(|| self.play(task, Side::C, &self.options.c));
                let mine = self.play(task, side, ours);
                let theirs = theirs.join().unwrap_or_else(|_| Transcript {
                    steps: Vec::new(),
                    end: runner::End::Broken("the runner panicked".to_owned()),
                    remarks: String::new(),
                });
                (theirs, mine)
            })
        };
        let names = if same {
            Names {
                c: "C, first time",
                ours: "C, second time",
            }
        } else {
            Names {
                c: "C",
                ours: "ours",
            }
        };
        Done {
            comparison: compare::compare(names, &theirs, &mine, same),
            steps: [theirs.steps, mine.steps],
        }
    }

    /// Runs all tasks, several at a time; those that change the machine run alone, at the end.
    fn run_all(&self, tasks: &[Task]) -> Vec<(Task, Done)> {
        let (exclusive, shared): (Vec<Task>, Vec<Task>) =
            tasks.iter().partition(|task| task.scenario.exclusive);
        let results = Mutex::new(Vec::new());
        let finish = |task: Task, done: Done| {
            let mut results = results.lock().unwrap_or_else(|broken| broken.into_inner());
            say!("{}", line(&task, &done.comparison));
            results.push((task, done));
        };
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.options.jobs {
                scope.spawn(|| {
                    while let Some(task) = shared.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if unheard() {
                            break;
                        }
                        finish(*task, self.run(task));
                    }
                });
            }
        });
        for task in exclusive {
            if unheard() {
                break;
            }
            let limit = std::fs::read_to_string(AIO_MAX_NR).unwrap_or_default();
            finish(task, self.run(&task));
            // The scenario restores it, unless its process was killed in between.
            if std::fs::read_to_string(AIO_MAX_NR).unwrap_or_default() != limit {
                eprintln!("{AIO_MAX_NR} was not restored by {}", task.name());
                if let Err(error) = std::fs::write(AIO_MAX_NR, &limit) {
                    eprintln!(
                        "{AIO_MAX_NR} must be set to {} by hand: {error}",
                        limit.trim()
                    );
                }
            }
        }
        results
            .into_inner()
            .unwrap_or_else(|broken| broken.into_inner())
    }
}

/// One line of the table.
fn line(task: &Task, comparison: &Comparison) -> String {
    let rows: Vec<String> = comparison
        .rows
        .iter()
        .map(|(row, count)| format!("{row}×{count}"))
        .collect();
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
        rows.join(" "),
    )
}

/// The longest calls of one kind that began while a read hung, in milliseconds.
fn longest(done: &[(Task, Done)], side: usize, call: Call) -> Option<u64> {
    done.iter()
        .filter_map(|(_, done)| done.steps.get(side))
        .flatten()
        .filter(|step| step.call == call && step.hanging)
        .map(|step| step.millis)
        .max()
}

fn report(options: &Options, done: &[(Task, Done)], began: Instant) -> Result<bool> {
    let mut passed = 0;
    let mut failed = 0;
    let mut failures = Vec::new();
    let mut skipped = Vec::new();
    let mut steps = 0;
    let mut alone = 0;
    let mut mismatches = 0;
    let mut rows: BTreeMap<String, usize> = BTreeMap::new();
    for (task, done) in done {
        let comparison = &done.comparison;
        steps += comparison.steps;
        alone += comparison.alone;
        mismatches += comparison.mismatches.len();
        for (row, count) in &comparison.rows {
            *rows.entry(row.clone()).or_default() += count;
        }
        match (&comparison.not_run, comparison.mismatches.is_empty()) {
            (_, false) => {
                failed += 1;
                failures.push(task.name());
            }
            (Some(why), true) => skipped.push(format!("{}: {why}", task.name())),
            (None, true) => passed += 1,
        }
    }
    say!();
    if options.mode == Mode::Compare {
        failed += check_ledger(options, &rows, skipped.is_empty())?;
        for (call, name) in [(Call::Reset, "reset"), (Call::Free, "free")] {
            let time = |side| {
                longest(done, side, call).map_or("–".to_owned(), |millis| format!("{millis} ms"))
            };
            say!(
                "longest libcheck_{name} with a read hanging: ours {}, C {}",
                time(1),
                time(0)
            );
        }
    }
    let compared = done.iter().filter(|(task, _)| task.compared).count();
    say!(
        "{compared} scenarios compared in {steps} steps, {alone} steps checked on ours alone, \
         {mismatches} mismatches, {} s",
        began.elapsed().as_secs()
    );
    if !skipped.is_empty() {
        say!("NOT RUN ({}):", skipped.len());
        for one in &skipped {
            say!("  {one}");
        }
    }
    if !failures.is_empty() {
        say!("FAILED ({}): {}", failures.len(), failures.join(", "));
    }
    say!(
        "{passed} passed, {failed} failed, {} skipped",
        skipped.len()
    );
    Ok(failed == 0)
}

/// Prints the differences by entry of the ledger. Returns how many are wrong: those that no longer
/// show, and those that the ledger does not have for hosts of this ABI.
fn check_ledger(options: &Options, seen: &BTreeMap<String, usize>, whole: bool) -> Result<usize> {
    let ledger = Ledger::read(&options.ledger).map_err(Trouble::Broken)?;
    let abi = match options.abi {
        Host::C => Abi::V0_11,
        Host::CPrime => Abi::V0_14,
        Host::D => Abi::V0_15,
        _ => Abi::V0_7_9,
    };
    let pinned = ledger.pinned(Suite::Directio, abi);
    let mut wrong = 0;
    say!("differences by entry of {}:", options.ledger.display());
    for id in &pinned {
        let count = seen.get(id).copied().unwrap_or(0);
        let remark = if count > 0 {
            ""
        } else if !options.filters.is_empty() || !whole {
            " (not all scenarios ran)"
        } else {
            wrong += 1;
            " FAILED: the entry is out of date, or its test is gone"
        };
        say!("  {id:<5} {count:>6}{remark}");
    }
    for (id, count) in seen.iter().filter(|(id, _)| !pinned.contains(*id)) {
        wrong += 1;
        say!("  {id:<5} {count:>6} FAILED: the ledger does not name this suite with ABI {abi}");
    }
    Ok(wrong)
}

/// Plays one side alone and prints every step with all its facts.
fn watch(bench: &Bench<'_>, tasks: &[Task], side: Side) -> bool {
    let plugin = match side {
        Side::C => &bench.options.c,
        Side::Ours => &bench.options.ours,
    };
    let mut good = true;
    for task in tasks {
        if unheard() {
            break;
        }
        say!("=== {}: {}", task.name(), task.scenario.about);
        let transcript = bench.play(task, side, plugin);
        for step in &transcript.steps {
            say!("{} ({} ms)", step.label, step.millis);
            for (name, value) in &step.facts {
                say!("    {name}: {}", value.replace('\n', "\n        "));
            }
            for why in &step.wrong {
                good = false;
                say!("    WRONG: {why}");
            }
        }
        if !transcript.remarks.is_empty() {
            say!("standard error: {}", transcript.remarks);
        }
        good &= matches!(transcript.end, runner::End::Done | runner::End::NotHere(_));
        say!("--- {:?}", transcript.end);
    }
    good
}

fn run() -> Result<bool> {
    let began = Instant::now();
    let Some(options) = options()? else {
        return Ok(true);
    };
    if options.mode == Mode::List {
        for scenario in scenarios::all() {
            let hosts = match scenario.on {
                On::Both => "both plugins, 0.7.9".to_owned(),
                On::Ours(hosts) | On::Later(hosts) => {
                    let names: Vec<String> = hosts.iter().map(|host| host.name()).collect();
                    format!("ours, {}", names.join("; "))
                }
            };
            say!("{:<26} {} ({hosts})", scenario.name, scenario.about);
        }
        return Ok(true);
    }
    let mut plugins = Vec::new();
    if options.mode != Mode::Watch(Side::Ours) {
        plugins.push(&options.c);
    }
    if matches!(options.mode, Mode::Compare | Mode::Watch(Side::Ours)) {
        plugins.push(&options.ours);
    }
    for plugin in plugins {
        if !plugin.exists() {
            return Err(Trouble::Broken(format!(
                "there is no plugin {}",
                plugin.display()
            )));
        }
    }
    let tasks = tasks(&options);
    if tasks.is_empty() {
        return Err(Trouble::Broken("no scenario has such a name".to_owned()));
    }
    let bench = Bench {
        surroundings: Surroundings::of(&options.c),
        options: &options,
    };
    if let Mode::Watch(side) = options.mode {
        return Ok(watch(&bench, &tasks, side));
    }
    say!("C:    {}", options.c.display());
    if options.mode == Mode::Compare {
        say!(
            "ours: {} (levels of log lines: row {LEVELS})",
            options.ours.display()
        );
    }
    say!("seed: {}", options.seed);
    say!("{:<44} steps alone  differences", "scenario");
    let done = bench.run_all(&tasks);
    // Not everything was played, and so not everything is well.
    Ok(report(&options, &done, began)? && !unheard())
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(trouble) => {
            eprintln!("compat-directio: {trouble}");
            ExitCode::from(2)
        }
    }
}

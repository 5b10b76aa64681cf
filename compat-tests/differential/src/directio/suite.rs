//! The program `compat-directio`: compares our directio plugin with the one of a release.
#![forbid(unsafe_code)]

use super::compare::{self, Comparison, LEVELS, Names};
use super::facts::{Call, Step};
use super::host::Host;
use super::runner::{self, End, Run, Transcript};
use super::scenarios::{self, On, Scenario};
use clap::Parser;
use harness::abi::Abi;
use harness::ledger::{Ledger, Suite};
use harness::process::HostKind;
use harness::side::Side;
use harness::summary::Summary;
use harness::surroundings::Surroundings;
use harness::{Result, Trouble, output, say, summary};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Compares our directio plugin with upstream's. Scenarios that this machine cannot run are listed
/// and counted as not run.
#[derive(Parser)]
#[command(name = "compat-directio")]
struct Options {
    /// Upstream's plugin
    #[arg(
        long,
        value_name = "FILE",
        default_value = "target/debian/bookworm/lib/multipath/libcheckdirectio.so"
    )]
    upstream: PathBuf,
    /// Our plugin
    #[arg(
        long,
        value_name = "FILE",
        default_value = "target/plugins/libcheckdirectio.so"
    )]
    ours: PathBuf,
    /// The ABI of upstream's plugin: 0.7.9, 0.11, 0.14 or 0.15
    #[arg(long, default_value_t = Abi::V0_7_9)]
    abi: Abi,
    /// The known differences
    #[arg(long, value_name = "FILE", default_value = "docs/differences.toml")]
    ledger: PathBuf,
    /// Only scenarios whose name contains TEXT; may be given more than once
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,
    /// Where random operations begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many scenarios run at once
    #[arg(long, default_value_t = 4)]
    jobs: usize,
    /// Run one side alone and print what it does: upstream or ours
    #[arg(long, value_name = "SIDE", value_parser = side)]
    only: Option<Side>,
    /// Compare upstream's plugin with itself: what differs is the test's fault
    #[arg(long, conflicts_with = "only")]
    twice: bool,
    /// Print the scenarios
    #[arg(long)]
    list: bool,
}

fn side(name: &str) -> std::result::Result<Side, String> {
    [Side::Upstream, Side::Ours]
        .into_iter()
        .find(|side| side.to_string() == name)
        .ok_or_else(|| "upstream or ours".to_owned())
}

/// The one setting of the machine that a scenario changes.
const AIO_MAX_NR: &str = "/proc/sys/fs/aio-max-nr";

/// One scenario in one host.
#[derive(Clone, Copy)]
struct Task {
    scenario: &'static Scenario,
    host: Host,
    compared: bool,
}

impl Task {
    fn name(&self) -> String {
        match self.compared {
            true => self.scenario.name.to_owned(),
            false => format!("{} [{}]", self.scenario.name, self.host),
        }
    }
}

/// The result of a task.
struct Done {
    comparison: Comparison,
    /// Both sides' steps, upstream's first, for the times that calls took.
    steps: [Vec<Step>; 2],
}

impl Options {
    fn tasks(&self) -> Vec<Task> {
        let host = Host::Of(HostKind::from(self.abi));
        let first = self.abi == Abi::V0_7_9;
        let is_wanted = |scenario: &&Scenario| {
            let mut filters = self.filter.iter();
            self.filter.is_empty() || filters.any(|text| scenario.name.contains(text))
        };
        let mut tasks = Vec::new();
        for scenario in scenarios::all().filter(is_wanted) {
            let mut add = |host, compared| {
                tasks.push(Task {
                    scenario,
                    host,
                    compared,
                });
            };
            match scenario.on {
                On::Both | On::BothApart if first => add(host, true),
                On::Later(hosts) if hosts.contains(&host) => add(host, true),
                On::Ours(hosts) | On::Later(hosts)
                    if first && self.only.is_none() && !self.twice =>
                {
                    hosts.iter().for_each(|host| add(*host, false));
                }
                _ => {}
            }
        }
        tasks
    }

    fn plugin(&self, side: Side) -> &Path {
        match side {
            Side::Upstream => &self.upstream,
            Side::Ours => &self.ours,
        }
    }

    /// The sides that run.
    fn sides(&self) -> [Side; 2] {
        match self.only {
            Some(side) => [side; 2],
            None if self.twice => [Side::Upstream; 2],
            None => [Side::Upstream, Side::Ours],
        }
    }
}

struct Comparer<'a> {
    options: &'a Options,
    surroundings: Surroundings,
}

impl Comparer<'_> {
    fn side(&self, task: &Task, side: Side) -> Transcript {
        runner::run(&Run {
            scenario: task.scenario.name,
            host: task.host,
            side,
            plugin: self.options.plugin(side),
            surroundings: &self.surroundings,
            seed: self.options.seed,
        })
    }

    /// Runs both sides, at the same time unless they would disturb each other, and compares.
    fn compare(&self, task: &Task) -> Done {
        if !task.compared {
            let transcript = self.side(task, Side::Ours);
            return Done {
                comparison: compare::alone("ours", &transcript),
                steps: [Vec::new(), transcript.steps],
            };
        }
        // The other side of a comparison of upstream with itself is told that it is upstream, too.
        let [first, second] = self.options.sides();
        let (theirs, mine) = if task.scenario.is_apart() {
            (self.side(task, first), self.side(task, second))
        } else {
            std::thread::scope(|scope| {
                let theirs = scope.spawn(|| self.side(task, first));
                let mine = self.side(task, second);
                let panicked = || Trouble::Broken("the runner panicked".to_owned());
                let theirs = theirs.join();
                (
                    theirs.unwrap_or_else(|_| Transcript::failed(panicked())),
                    mine,
                )
            })
        };
        let same = self.options.twice;
        let names = Names {
            upstream: if same {
                "upstream, first time"
            } else {
                "upstream"
            },
            ours: if same {
                "upstream, second time"
            } else {
                "ours"
            },
        };
        Done {
            comparison: compare::compare(names, &theirs, &mine, same),
            steps: [theirs.steps, mine.steps],
        }
    }

    /// Runs all tasks, several at a time; those that change the machine run apart, at the end.
    fn compare_all(&self, tasks: &[Task]) -> Vec<(Task, Done)> {
        let (apart, shared): (Vec<Task>, Vec<Task>) =
            tasks.iter().partition(|task| task.scenario.is_apart());
        let results = Mutex::new(Vec::new());
        let finish = |task: Task, done: Done| {
            let mut results = results.lock().unwrap_or_else(|broken| broken.into_inner());
            say!("{}", line(&task, &done.comparison));
            results.push((task, done));
        };
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.options.jobs.max(1) {
                scope.spawn(|| {
                    while let Some(task) = shared.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if output::is_closed() {
                            break;
                        }
                        finish(*task, self.compare(task));
                    }
                });
            }
        });
        for task in apart {
            if output::is_closed() {
                break;
            }
            let limit = std::fs::read_to_string(AIO_MAX_NR).unwrap_or_default();
            finish(task, self.compare(&task));
            // The scenario restores it, unless its process was killed in between.
            if std::fs::read_to_string(AIO_MAX_NR).unwrap_or_default() != limit {
                eprintln!("{AIO_MAX_NR} was not restored by {}", task.name());
                if let Err(error) = std::fs::write(AIO_MAX_NR, &limit) {
                    let limit = limit.trim();
                    eprintln!("{AIO_MAX_NR} must be set to {limit} by hand: {error}");
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

fn report(options: &Options, done: &[(Task, Done)], began: Instant) -> Result<Summary> {
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

/// Runs one side alone and prints every step with all its facts.
fn print_steps(comparer: &Comparer<'_>, tasks: &[Task], side: Side) -> Summary {
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
            for fact in &step.facts {
                say!("    {}: {fact}", fact.name());
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

fn list() {
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

fn run(options: &Options) -> Result<Summary> {
    let began = Instant::now();
    for side in options.sides() {
        let plugin = options.plugin(side);
        if !plugin.exists() {
            let plugin = plugin.display();
            return Err(Trouble::Broken(format!("there is no plugin {plugin}")));
        }
    }
    let tasks = options.tasks();
    if tasks.is_empty() {
        return Err(Trouble::Broken("no scenario has such a name".to_owned()));
    }
    let comparer = Comparer {
        surroundings: Surroundings::of(&options.upstream),
        options,
    };
    if let Some(side) = options.only {
        return Ok(print_steps(&comparer, &tasks, side));
    }
    say!("upstream: {}", options.upstream.display());
    if !options.twice {
        let ours = options.ours.display();
        say!("ours:     {ours} (levels of log records: {LEVELS})");
    }
    say!("seed: {}", options.seed);
    say!("{:<44} steps alone  differences", "scenario");
    let done = comparer.compare_all(&tasks);
    report(options, &done, began)
}

/// The `main` of `compat-directio`.
pub fn main() -> ExitCode {
    let options = Options::parse();
    if options.list {
        list();
        return ExitCode::SUCCESS;
    }
    summary::finish("compat-directio", run(&options))
}

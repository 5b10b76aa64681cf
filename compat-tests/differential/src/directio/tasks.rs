// SPDX-License-Identifier: LGPL-2.0-or-later

//! What `compat-directio` runs: its options, one task for each scenario and host, and their comparison.
#![forbid(unsafe_code)]

use super::compare::{self, Comparison, Names};
use super::observation::Step;
use super::run_host::Host;
use super::runner::{self, Run, Transcript};
use super::scenarios::{self, On, Scenario};
use clap::Parser;
use harness::abi::Abi;
use harness::process::HostKind;
use harness::side::Side;
use harness::surroundings::Surroundings;
use harness::{Trouble, output};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Compares our directio plugin with upstream's. Scenarios that this machine cannot run are listed
/// and counted as not run.
#[derive(Parser)]
#[command(name = "compat-directio")]
pub(super) struct Options {
    /// Upstream's plugin
    #[arg(
        long,
        value_name = "FILE",
        default_value = "target/debian/bookworm/lib/multipath/libcheckdirectio.so"
    )]
    pub(super) upstream: PathBuf,
    /// Our plugin
    #[arg(
        long,
        value_name = "FILE",
        default_value = "target/plugins/libcheckdirectio.so"
    )]
    pub(super) ours: PathBuf,
    /// The ABI of upstream's plugin: 0.7.9, 0.11, 0.14 or 0.15
    #[arg(long, default_value_t = Abi::V0_7_9)]
    pub(super) abi: Abi,
    /// The known differences
    #[arg(long, value_name = "FILE", default_value = "docs/differences.toml")]
    pub(super) ledger: PathBuf,
    /// Only scenarios whose name contains TEXT; may be given more than once
    #[arg(long, value_name = "TEXT")]
    pub(super) filter: Vec<String>,
    /// Where random operations begin
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// How many scenarios run at once
    #[arg(long, default_value_t = 4)]
    pub(super) jobs: usize,
    /// Run one side alone and print what it does: upstream or ours
    #[arg(long, value_name = "SIDE", value_parser = side)]
    pub(super) only: Option<Side>,
    /// Compare upstream's plugin with itself; a difference means that the test is not deterministic
    #[arg(long, conflicts_with = "only")]
    pub(super) twice: bool,
    /// Print the scenarios
    #[arg(long)]
    pub(super) list: bool,
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
pub(super) struct Task {
    pub(super) scenario: &'static Scenario,
    host: Host,
    pub(super) compared: bool,
}

impl Task {
    pub(super) fn name(&self) -> String {
        match self.compared {
            true => self.scenario.name.to_owned(),
            false => format!("{} [{}]", self.scenario.name, self.host),
        }
    }
}

/// The result of a task.
pub(super) struct Done {
    pub(super) comparison: Comparison,
    /// Both sides' steps, upstream's first, for the times that calls took.
    pub(super) steps: [Vec<Step>; 2],
}

impl Options {
    pub(super) fn tasks(&self) -> Vec<Task> {
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

    pub(super) fn plugin(&self, side: Side) -> &Path {
        match side {
            Side::Upstream => &self.upstream,
            Side::Ours => &self.ours,
        }
    }

    /// The sides that run.
    pub(super) fn sides(&self) -> [Side; 2] {
        match self.only {
            Some(side) => [side; 2],
            None if self.twice => [Side::Upstream; 2],
            None => [Side::Upstream, Side::Ours],
        }
    }
}

pub(super) struct Comparer<'a> {
    pub(super) options: &'a Options,
    pub(super) surroundings: Surroundings,
}

impl Comparer<'_> {
    pub(super) fn side(&self, task: &Task, side: Side) -> Transcript {
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
        // When upstream is compared with itself, both sides run as upstream.
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
    /// `ended` is called after each.
    pub(super) fn compare_all(
        &self,
        tasks: &[Task],
        ended: impl Fn(&Task, &Comparison) + Sync,
    ) -> Vec<(Task, Done)> {
        let (apart, shared): (Vec<Task>, Vec<Task>) =
            tasks.iter().partition(|task| task.scenario.is_apart());
        let results = Mutex::new(Vec::new());
        let finish = |task: Task, done: Done| {
            let mut results = results.lock().unwrap_or_else(|broken| broken.into_inner());
            ended(&task, &done.comparison);
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

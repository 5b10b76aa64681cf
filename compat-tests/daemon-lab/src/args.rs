// SPDX-License-Identifier: LGPL-2.0-or-later
//! The command line.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{ArgGroup, CommandFactory, Parser, ValueEnum};

use crate::host::log_directory::Retention;
use crate::host::plan::{Form, Plan, PlannedGuest};
use crate::host::plugin_source::PluginSource;
use crate::host::tree::Trees;
use crate::model::{Checker, Plugins, RunConfig, Scenario, Suite};
use crate::report::compare;

/// What the command line asks for.
pub(crate) enum Command {
    /// List the scenarios.
    List,
    /// Print the tables and the comparison of recorded runs.
    Report(Vec<PathBuf>),
    /// Print recorded runs as JSON.
    ReportJson(Vec<PathBuf>),
    /// Run a command in a suite's tree.
    Exec {
        suite: Suite,
        trees: Trees,
        plugins: PluginSource,
        command: Vec<String>,
    },
    /// Run guests.
    Run {
        suites: Vec<Suite>,
        trees: Trees,
        plan: Plan,
        retention: Retention,
    },
}

impl Command {
    /// Reads the command line; ends the program if it is wrong.
    pub(crate) fn read() -> Command {
        Arguments::parse()
            .into_command()
            .unwrap_or_else(|error| error.exit())
    }
}

/// A real multipathd over faulty SCSI disks in a User-Mode Linux guest.
#[derive(Parser)]
#[command(name = "scripts/lab", bin_name = "scripts/lab", after_help = AFTER_HELP,
          group = ArgGroup::new("form").args(["matrix", "short", "compare"]))]
struct Arguments {
    /// Debian suites whose multipathd and libraries are used [default: bookworm]
    #[arg(long, value_enum, value_delimiter = ',')]
    suite: Vec<Suite>,
    /// Path checkers that the daemon uses [default: tur]
    #[arg(long, value_enum, value_delimiter = ',')]
    checker: Vec<Checker>,
    /// Plugins to use: a directory of libcheck*.so, or "upstream" for those of the suite
    #[arg(long, value_name = "DIR|upstream", default_value = "upstream",
          value_parser = PluginSource::parse)]
    plugins: PluginSource,
    /// List the scenarios
    #[arg(long, conflicts_with_all = ["form", "exec"])]
    list: bool,
    /// All suites and checkers unless some are named, with upstream's plugins and those of
    /// --plugins. Failed scenarios are run once more and listed as AGAIN
    #[arg(long, conflicts_with = "exec")]
    matrix: bool,
    /// Fewer repetitions and only the most important scenarios. Unless others are named: tur and
    /// directio on bullseye, bookworm and trixie, rdac on bullseye. With upstream's plugins and
    /// those of --plugins. Failed scenarios are run once more and listed as AGAIN
    #[arg(long, conflicts_with = "exec")]
    short: bool,
    /// Run everything three times with upstream's plugins and with those of --plugins, and compare
    #[arg(long, requires = "plugins", conflicts_with = "exec")]
    compare: bool,
    /// Print the tables and the comparison of recorded runs: directories under target/lab/runs, or
    /// directories of single guests in them. No guest is run
    #[arg(long, value_name = "RUN", num_args = 1.., value_parser = recorded_run,
          conflicts_with_all = ["form", "exec", "list", "scenario"])]
    report: Vec<PathBuf>,
    /// Print the report as one JSON object per line, for each suite, checker, plugins and scenario
    #[arg(long, requires = "report")]
    json: bool,
    /// Guests that run at the same time [default: 1, with --short 4]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=16))]
    jobs: Option<u8>,
    /// Build the trees anew
    #[arg(long)]
    rebuild: bool,
    /// Keep the logs of all earlier runs, not only of the last ten
    #[arg(long)]
    keep: bool,
    /// Run a command in the suite's tree on this machine's kernel, with the plugins of --plugins;
    /// no guest. The current directory and the project are visible there. Must be the last option
    #[arg(long, value_name = "CMD", num_args = 1.., allow_hyphen_values = true)]
    exec: Vec<String>,
    /// Scenarios to run, see --list [default: all]
    #[arg(value_enum, hide_possible_values = true)]
    scenario: Vec<Scenario>,
}

const AFTER_HELP: &str = "\
Exit status: 0 nothing failed (what was not run is listed and counted), 1 something failed,
2 wrong arguments, 3 nothing could be run. With --exec that of the command, 125 if it could not be run.

Environment: LAB_CACHE, where trees and logs are kept [default: target/lab]; DEBIAN_MIRROR [default:
http://deb.debian.org/debian]; DEBIAN_ARCHIVE, for suites that the mirror no longer has [default:
http://archive.debian.org/debian].";

fn recorded_run(text: &str) -> Result<PathBuf, String> {
    match Path::new(text).is_dir() {
        true => Ok(text.into()),
        false => Err("no such directory".to_owned()),
    }
}

impl Arguments {
    fn into_command(self) -> Result<Command, clap::Error> {
        if self.list {
            return Ok(Command::List);
        }
        if !self.report.is_empty() {
            return Ok(match self.json {
                true => Command::ReportJson(self.report),
                false => Command::Report(self.report),
            });
        }
        let suites = self.suites();
        let trees = match self.rebuild {
            true => Trees::Rebuild,
            false => Trees::FromCache,
        };
        if !self.exec.is_empty() {
            let &[suite] = suites.as_slice() else {
                return Err(refusal("--exec runs in one suite"));
            };
            return Ok(Command::Exec {
                suite,
                trees,
                plugins: self.plugins,
                command: self.exec,
            });
        }
        let plan = self.plan();
        if let Some(guest) = plan.guests.iter().find(|guest| guest.scenarios.is_empty()) {
            let checker = guest.config.checker;
            return Err(refusal(&format!("none of the scenarios suits {checker}")));
        }
        Ok(Command::Run {
            suites,
            trees,
            plan,
            retention: match self.keep {
                true => Retention::All,
                false => Retention::Newest,
            },
        })
    }

    fn form(&self) -> Form {
        match (self.matrix, self.short, self.compare) {
            (true, ..) => Form::Matrix,
            (_, true, _) => Form::Short,
            (.., true) => Form::Compare,
            _ => Form::Plain,
        }
    }

    fn suites(&self) -> Vec<Suite> {
        match (self.suite.as_slice(), self.form()) {
            ([], Form::Matrix) => Suite::value_variants().to_vec(),
            ([], Form::Short) => vec![Suite::Bullseye, Suite::Bookworm, Suite::Trixie],
            ([], Form::Plain | Form::Compare) => vec![Suite::Bookworm],
            (named, _) => named.to_vec(),
        }
    }

    fn checkers(&self, suite: Suite) -> Vec<Checker> {
        match (self.checker.as_slice(), self.form()) {
            ([], Form::Matrix) => Checker::value_variants().to_vec(),
            // rdac has a libcheck_mp_init; the oldest C library and daemon load it too.
            ([], Form::Short) if suite == Suite::Bullseye => {
                vec![Checker::Tur, Checker::Directio, Checker::Rdac]
            }
            ([], Form::Short) => vec![Checker::Tur, Checker::Directio],
            ([], Form::Plain | Form::Compare) => vec![Checker::Tur],
            (named, _) => named.to_vec(),
        }
    }

    fn plan(&self) -> Plan {
        let form = self.form();
        let origins = match (form, &self.plugins) {
            (_, PluginSource::Upstream) => &[Plugins::Upstream][..],
            (Form::Plain, PluginSource::Directory(_)) => &[Plugins::Ours],
            (_, PluginSource::Directory(_)) => &[Plugins::Upstream, Plugins::Ours],
        };
        let runs = match form {
            Form::Compare => compare::RUNS,
            Form::Plain | Form::Short | Form::Matrix => 1,
        };
        let mut guests = Vec::new();
        for suite in self.suites() {
            for checker in self.checkers(suite) {
                let scenarios = self.scenarios(checker);
                for _ in 0..runs {
                    guests.extend(origins.iter().map(|&plugins| PlannedGuest {
                        config: RunConfig {
                            suite,
                            checker,
                            plugins,
                        },
                        scenarios: scenarios.clone(),
                    }));
                }
            }
        }
        Plan {
            form,
            guests,
            plugins: self.plugins.clone(),
            jobs: self.jobs.unwrap_or(form.effort().choose(1, 4)),
        }
    }

    /// The scenarios for a checker.
    fn scenarios(&self, checker: Checker) -> Vec<Scenario> {
        Scenario::all()
            .iter()
            .copied()
            .filter(|scenario| scenario.suits(checker))
            .filter(|scenario| match self.scenario.as_slice() {
                [] => self.form() != Form::Short || scenario.in_short_form(),
                named => named.contains(scenario),
            })
            .collect()
    }
}

fn refusal(message: &str) -> clap::Error {
    Arguments::command().error(ErrorKind::ValueValidation, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arguments: &[&str]) -> Plan {
        Arguments::parse_from(arguments).plan()
    }

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_matrix_without_plugins_of_ours_is_all_upstream() {
        let guests = plan(&["lab", "--matrix"]).guests;
        assert_eq!(guests.len(), 4 * 7);
        let is_upstream = |guest: &PlannedGuest| guest.config.plugins == Plugins::Upstream;
        assert!(guests.iter().all(is_upstream));
    }

    #[test]
    fn the_short_form_has_a_scenario_for_each_of_its_checkers() {
        let guests = plan(&["lab", "--short"]).guests;
        let has = |name| guests.iter().any(|guest| guest.config.to_string() == name);
        assert!(has("bullseye-rdac-upstream"));
        for guest in guests {
            assert!(!guest.scenarios.is_empty(), "{}", guest.config);
        }
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for wrong in [
            &["lab", "--suite", "lenny"][..],
            &["lab", "--checker", "none"],
            &["lab", "--plugins", "/nowhere"],
            &["lab", "--matrix", "--short"],
            &["lab", "--short", "--exec", "true"],
            &["lab", "no-such-scenario"],
        ] {
            assert!(Arguments::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
        for wrong in [
            &["lab", "--checker", "rdac", "hang"][..],
            &["lab", "--suite", "sid,trixie", "--exec", "true"],
        ] {
            assert!(
                Arguments::parse_from(wrong).into_command().is_err(),
                "{wrong:?}"
            );
        }
    }
}

//! The command line, and the runs it asks for.

use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};

use crate::cell::{Cell, Whose};
use crate::compare;
use crate::guest::SCENARIOS;
use crate::job::Checker;
use crate::tree::Suite;

/// A real multipathd over faulty SCSI disks in a User-Mode Linux guest.
#[derive(Parser)]
#[command(name = "scripts/lab", after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Debian suites whose multipathd and libraries are used [default: bookworm]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) suite: Vec<Suite>,
    /// Path checkers the daemon is told to use [default: tur]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) checker: Vec<Checker>,
    /// Plugins to use: a directory of libcheck*.so, or "c" for the suite's own
    #[arg(long, value_name = "DIR|c", default_value = "c", value_parser = plugins)]
    pub(crate) plugins: Plugins,
    /// Explain the scenarios and end
    #[arg(long, conflicts_with_all = ["matrix", "compare", "exec"])]
    pub(crate) list: bool,
    /// All suites and checkers unless some are named, the C plugins and those of --plugins. What
    /// fails is played once more, and said to be
    #[arg(long, conflicts_with_all = ["compare", "exec"])]
    pub(crate) matrix: bool,
    /// Fewer repetitions and only the scenarios that matter most. Unless others are named: bookworm
    /// and trixie, tur and directio; and bullseye, tur, directio and rdac. The C plugins and those
    /// of --plugins. What fails is played once more, and said to be
    #[arg(long, conflicts_with_all = ["matrix", "compare", "exec"])]
    pub(crate) short: bool,
    /// Play everything three times with the C plugins and with those of --plugins, and compare
    #[arg(long, requires = "plugins", conflicts_with = "exec")]
    pub(crate) compare: bool,
    /// Print the tables and the comparison of recorded runs: directories under target/lab/runs, or
    /// those of single guests in them. Nothing is played
    #[arg(long, value_name = "RUN", num_args = 1.., value_parser = recorded,
          conflicts_with_all = ["matrix", "short", "compare", "exec", "list", "scenario"])]
    pub(crate) report: Vec<PathBuf>,
    /// The report as one JSON object a line, per suite, checker, plugins and scenario
    #[arg(long, requires = "report")]
    pub(crate) json: bool,
    /// Guests that run at the same time [default: 1, with --short 4]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=16))]
    jobs: Option<u8>,
    /// Make the trees anew
    #[arg(long)]
    pub(crate) rebuild: bool,
    /// Keep the logs of all earlier runs; otherwise only those of the last ten remain
    #[arg(long)]
    pub(crate) keep: bool,
    /// Run a command in the suite's tree on this machine's kernel, with the plugins of --plugins
    /// in place; no guest. The current directory and the project are there. Comes last
    #[arg(long, value_name = "CMD", num_args = 1.., allow_hyphen_values = true)]
    pub(crate) exec: Vec<String>,
    /// Scenarios to play [default: all]
    #[arg(value_parser = PossibleValuesParser::new(SCENARIOS.iter().map(|s| s.name)))]
    pub(crate) scenario: Vec<String>,
}

const AFTER_HELP: &str = "\
Exit status: 0 nothing failed (what was not run is listed and counted), 1 something failed,
2 wrong arguments, 3 nothing could be run. With --exec that of the command, 125 if it could not be run.

Environment: LAB_CACHE, where trees and logs are kept [default: target/lab]; DEBIAN_MIRROR [default:
http://deb.debian.org/debian]; DEBIAN_ARCHIVE, for suites that the mirror no longer has [default:
http://archive.debian.org/debian].";

/// Where the checkers come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plugins {
    /// The suite's package brings them.
    C,
    /// A directory, whose plugins are bound over the suite's.
    Ours(PathBuf),
}

impl Plugins {
    pub(crate) fn directory(&self) -> Option<&Path> {
        match self {
            Plugins::C => None,
            Plugins::Ours(directory) => Some(directory),
        }
    }
}

fn plugins(text: &str) -> Result<Plugins, String> {
    if text == "c" {
        return Ok(Plugins::C);
    }
    let directory = Path::new(text)
        .canonicalize()
        .map_err(|error| error.to_string())?;
    match libraries(&directory)
        .map_err(|error| error.to_string())?
        .is_empty()
    {
        true => Err("no libcheck*.so in this directory".to_owned()),
        false => Ok(Plugins::Ours(directory)),
    }
}

fn recorded(text: &str) -> Result<PathBuf, String> {
    match Path::new(text).is_dir() {
        true => Ok(text.into()),
        false => Err("no such directory".to_owned()),
    }
}

/// The plugins in a directory.
pub(crate) fn libraries(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("libcheck") && name.ends_with(".so") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

impl Arguments {
    /// The command line; ends the program if it makes no sense.
    pub(crate) fn read() -> Arguments {
        let arguments = Arguments::parse();
        let refuse = |message: String| -> ! {
            Arguments::command()
                .error(ErrorKind::ValueValidation, message)
                .exit()
        };
        if !arguments.exec.is_empty() && arguments.suites().len() > 1 {
            refuse("--exec runs in one suite".to_owned());
        }
        let suites = arguments.suites();
        for checker in suites.iter().flat_map(|&suite| arguments.checkers(suite)) {
            if arguments.scenarios(checker).is_empty() {
                refuse(format!(
                    "no such scenario says anything about {}",
                    checker.name()
                ));
            }
        }
        arguments
    }

    pub(crate) fn suites(&self) -> Vec<Suite> {
        match (self.suite.as_slice(), self.matrix, self.short) {
            ([], true, _) => Suite::value_variants().to_vec(),
            ([], _, true) => vec![Suite::Bullseye, Suite::Bookworm, Suite::Trixie],
            ([], ..) => vec![Suite::Bookworm],
            (named, ..) => named.to_vec(),
        }
    }

    /// The checkers of a suite's guests.
    fn checkers(&self, suite: Suite) -> Vec<Checker> {
        match (self.checker.as_slice(), self.matrix, self.short) {
            ([], true, _) => Checker::value_variants().to_vec(),
            // The oldest C library and daemon also load a plugin with a setup step.
            ([], _, true) if suite == Suite::Bullseye => {
                vec![Checker::Tur, Checker::Directio, Checker::Rdac]
            }
            ([], _, true) => vec![Checker::Tur, Checker::Directio],
            ([], ..) => vec![Checker::Tur],
            (named, ..) => named.to_vec(),
        }
    }

    pub(crate) fn jobs(&self) -> u8 {
        self.jobs.unwrap_or(if self.short { 4 } else { 1 })
    }

    /// All guests to boot, in order; each as often as its results are needed.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let both = self.matrix || self.short || self.compare;
        let ours = self.plugins != Plugins::C;
        let mut whose = Vec::new();
        if both || !ours {
            whose.push(Whose::C);
        }
        if ours {
            whose.push(Whose::Ours);
        }
        let runs = if self.compare { compare::RUNS } else { 1 };
        let mut cells = Vec::new();
        for suite in self.suites() {
            for checker in self.checkers(suite) {
                for _ in 0..runs {
                    for &whose in &whose {
                        cells.push(Cell {
                            suite,
                            checker,
                            whose,
                        });
                    }
                }
            }
        }
        cells
    }

    /// The scenarios a cell plays.
    pub(crate) fn scenarios(&self, checker: Checker) -> Vec<String> {
        SCENARIOS
            .iter()
            .filter(|scenario| scenario.suits(checker))
            .filter(|scenario| match self.scenario.as_slice() {
                [] => !self.short || scenario.short,
                named => named.iter().any(|name| name == scenario.name),
            })
            .map(|scenario| scenario.name.to_owned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_matrix_without_plugins_of_ours_is_all_c() {
        let cells = Arguments::parse_from(["lab", "--matrix"]).cells();
        assert_eq!(cells.len(), 4 * 7);
        assert!(cells.iter().all(|cell| cell.whose == Whose::C));
    }

    #[test]
    fn the_short_form_has_a_scenario_for_each_of_its_checkers() {
        let arguments = Arguments::parse_from(["lab", "--short"]);
        let cells = arguments.cells();
        assert!(cells.iter().any(|cell| cell.name() == "bullseye-rdac-C"));
        for cell in cells {
            assert!(
                !arguments.scenarios(cell.checker).is_empty(),
                "{}",
                cell.name()
            );
        }
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for wrong in [
            &["lab", "--suite", "lenny"][..],
            &["lab", "--checker", "none"],
            &["lab", "--plugins", "/nowhere"],
            &["lab", "--matrix", "--short"],
            &["lab", "no-such-scenario"],
        ] {
            assert!(Arguments::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }
}

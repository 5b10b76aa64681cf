// SPDX-License-Identifier: LGPL-2.0-or-later

//! What a case consists of, and how the tables are written.

#![forbid(unsafe_code)]

use crate::reply::Answer;
use crate::verdict::Verdict;

/// What happens to a path and what must come of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Which line of the table it is.
    pub name: String,
    /// What happens.
    pub input: Input,
    /// What the preparation of the path must give; its verdict does not count.
    pub setup: Expected,
    /// What each check must give.
    pub expected: Vec<Expected>,
    /// The rows of the ledger that must show in the comparison with upstream, for the ABIs that they
    /// name there.
    pub ledger: Vec<&'static str>,
    /// Upstream's plugin does not survive this.
    pub upstream_dies: bool,
    /// The hosts that can get into this case.
    pub hosts: Hosts,
}

/// Hosts of some releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Of every release.
    All,
    /// Of releases before 0.15.
    Before0_15,
}

/// What happens to a path.
#[derive(Clone, Debug)]
pub struct Input {
    /// The time limit in seconds.
    pub timeout: u32,
    /// The device node's preferred transfer size.
    pub preferred: i64,
    /// The map that the path belongs to.
    pub map: Map,
    /// A descriptor in the place of the device's.
    pub fd: Option<i32>,
    /// Answers to the commands that prepare the path.
    pub setup: Vec<Answer>,
    /// The checks, in order.
    pub checks: Vec<Check>,
}

/// The map of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// The path has none.
    None,
    /// One in which the plugin may keep a value.
    Shared,
    /// One without a value, which no real host leaves so.
    Empty,
}

/// One check.
#[derive(Clone, Debug)]
pub struct Check {
    /// The answers, in order. After the last one every command succeeds.
    pub answers: Vec<Answer>,
    /// `msgid` before a check of a host that waits: 0 with a real host.
    pub message: i16,
    /// The value that another path gives to the map before the check.
    pub map_value: Option<i32>,
}

/// What a check, or the preparation of a path, must give.
#[derive(Clone, Debug)]
pub struct Expected {
    /// State and message.
    pub verdict: Verdict,
    /// How many commands are sent.
    pub count: usize,
    /// The commands, where the table gives them.
    pub commands: Option<Vec<Command>>,
    /// The checker's own log lines with their levels; those of cciss_tur go to standard error.
    pub log: Vec<(i32, String)>,
    /// The value that the map gets, if any.
    pub map: Option<i32>,
    ledger: Vec<&'static str>,
}

/// A command as the kernel must see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The command descriptor block.
    pub cdb: Vec<u8>,
    /// Which way the data goes.
    pub direction: Direction,
    /// The transfer length in bytes.
    pub length: usize,
    /// The data to the device.
    pub out: Vec<u8>,
}

/// Which way the data of a command goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// There is none.
    None,
    /// From the device.
    In,
    /// To the device.
    Out,
}

impl Command {
    /// TEST UNIT READY.
    pub(crate) fn test_unit_ready() -> Command {
        Command {
            cdb: vec![0; 6],
            direction: Direction::None,
            length: 0,
            out: Vec::new(),
        }
    }

    /// A command with data from the device.
    pub(crate) fn input(cdb: &[u8], length: usize) -> Command {
        Command {
            cdb: cdb.to_vec(),
            direction: Direction::In,
            length,
            out: Vec::new(),
        }
    }

    /// INQUIRY for a vital product data page.
    pub(crate) fn inquiry(page: u8, length: u8) -> Command {
        Command::input(&[0x12, 1, page, 0, length, 0], length.into())
    }

    /// READ(10) of the first blocks.
    pub(crate) fn read(blocks: u16, length: usize) -> Command {
        let [high, low] = blocks.to_be_bytes();
        Command::input(&[0x28, 0, 0, 0, 0, 0, 0, high, low, 0], length)
    }

    /// A command with data to the device.
    pub(crate) fn output(cdb: &[u8], out: &[u8]) -> Command {
        Command {
            cdb: cdb.to_vec(),
            direction: Direction::Out,
            length: out.len(),
            out: out.to_vec(),
        }
    }
}

impl Check {
    /// The same check after a host has left this `msgid`.
    pub(crate) fn message(self, message: i16) -> Check {
        Check { message, ..self }
    }

    /// The same check after another path has given the map this value.
    pub(crate) fn map_value(self, value: i32) -> Check {
        Check {
            map_value: Some(value),
            ..self
        }
    }
}

impl From<Vec<Answer>> for Check {
    fn from(answers: Vec<Answer>) -> Self {
        Check {
            answers,
            message: 0,
            map_value: None,
        }
    }
}

impl<const N: usize> From<[Answer; N]> for Check {
    fn from(answers: [Answer; N]) -> Self {
        Vec::from(answers).into()
    }
}

impl From<Verdict> for Expected {
    fn from(verdict: Verdict) -> Self {
        Expected {
            verdict,
            count: 0,
            commands: None,
            log: Vec::new(),
            map: None,
            ledger: Vec::new(),
        }
    }
}

/// What a table says of a verdict beside it.
pub(crate) trait Expect: Into<Expected> {
    /// The line that is logged with it.
    fn log(self, level: i32, line: impl Into<String>) -> Expected {
        let mut expected = self.into();
        expected.log.push((level, line.into()));
        expected
    }

    /// The value that the map gets.
    fn map(self, value: i32) -> Expected {
        let mut expected = self.into();
        expected.map = Some(value);
        expected
    }

    /// The commands.
    fn commands(self, commands: impl Into<Vec<Command>>) -> Expected {
        let mut expected = self.into();
        expected.commands = Some(commands.into());
        expected
    }

    /// The row of the ledger that shows.
    fn ledger(self, row: &'static str) -> Expected {
        let mut expected = self.into();
        expected.ledger.push(row);
        expected
    }
}

impl Expect for Verdict {}
impl Expect for Expected {}

/// The cases of one checker, as they are collected.
pub(crate) struct Table {
    pub(crate) cases: Vec<Case>,
    /// The commands of every check, the last of them as often as needed.
    commands: Vec<Command>,
}

impl Table {
    /// A table of a checker each of whose checks sends these commands, the last of them repeatedly.
    /// Without one, commands are only counted.
    pub(crate) fn new(commands: impl Into<Vec<Command>>) -> Table {
        Table {
            cases: Vec::new(),
            commands: commands.into(),
        }
    }

    /// A path whose checks use all of the answers given for them, with 30 seconds for each command.
    pub(crate) fn case(&mut self, name: &str, checks: Vec<(Check, Expected)>) -> &mut Case {
        let (checks, mut expected): (Vec<Check>, Vec<Expected>) = checks.into_iter().unzip();
        let mut ledger = Vec::new();
        for (check, expected) in checks.iter().zip(&mut expected) {
            expected.count = check.answers.len();
            if let Some(last) = self.commands.last() {
                let commands = self.commands.iter().chain(std::iter::repeat(last));
                let commands = || commands.take(expected.count).cloned().collect();
                expected.commands.get_or_insert_with(commands);
            }
            ledger.append(&mut expected.ledger);
        }
        ledger.sort_unstable();
        ledger.dedup();
        self.cases.push(Case {
            name: name.to_owned(),
            input: Input {
                timeout: 30,
                preferred: 512,
                map: Map::None,
                fd: None,
                setup: Vec::new(),
                checks,
            },
            setup: Verdict::DOWN.into(),
            expected,
            ledger,
            upstream_dies: false,
            hosts: Hosts::All,
        });
        let last = self.cases.len() - 1;
        &mut self.cases[last]
    }
}

/// Adds cases to a table: `name, [answers to the first check] => what it gives, [answers] => …;`
macro_rules! table {
    ($table:ident; $($name:expr, $($answers:expr => $expected:expr),+;)*) => {
        $($table.case(
            $name,
            vec![$((Check::from($answers), Expected::from($expected))),+],
        );)*
    };
}
pub(crate) use table;

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Runs the decision tables of the SCSI checkers as unit tests, over a scripted transport.
//!
//! Every function panics when the checker does something else than its table says.

#![forbid(unsafe_code)]

mod capture;

pub use capture::captured;

use cases::{Answer, Case, Checker, Command, Expected, Hosts, Input, Map, any_input};
use checkers_core::{
    Asynchronous, LogRecord, MapMemory, MessageId, Outcome, Probe, ScsiProbe, Seconds, Task,
    Verdict, check_over, resolve, set_up_over,
};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use sg_io::script::{CancelledMeanwhile, Direction, Script, Sent, Step};
use sg_io::{DriverStatus, Errno, HostStatus, Millis, Reply, ScsiStatus, Sense};
use std::sync::atomic::AtomicBool;

/// The descriptor of every path.
pub const FD: i32 = 3;

/// How many random inputs a checker gets.
const RANDOM_INPUTS: u32 = 2000;

/// Makes the unit tests of a checker: its table, its messages, random input, and that a cancelled check
/// sends nothing more, whichever of these answers came first.
#[macro_export]
macro_rules! unit_tests {
    ($probe:ty, $checker:expr, $($first:expr),+) => {
        #[test]
        fn decision_table() {
            $crate::run::<$probe>($checker);
        }

        #[test]
        fn messages() {
            $crate::verify_messages::<$probe>($checker);
        }

        #[test]
        fn random_input_gives_what_the_table_knows() {
            $crate::run_random::<$probe>($checker);
        }

        #[test]
        fn a_cancelled_check_sends_nothing_more() {
            $($crate::run_cancelled::<$probe>(&$first);)+
        }
    };
}

/// Runs the decision table of `checker`, which is `P`.
pub fn run<P: ScsiProbe>(checker: Checker) {
    for case in checker.cases() {
        for map in maps(case.input.map) {
            let name = format!("{}, {map:?}", case.name);
            if !case.input.setup.is_empty() {
                let (sent, record) = set_up::<P>(&case.input);
                verify(
                    &name,
                    case.input.timeout,
                    &sent,
                    &logged(record),
                    &case.setup,
                );
            }
            run_checks::<P>(&case, &name, *map);
        }
    }
}

/// What a map may hold before the first check.
fn maps(map: Map) -> &'static [MapMemory] {
    match map {
        Map::None | Map::Empty => &[MapMemory::Absent],
        Map::Shared => &[MapMemory::Unset, MapMemory::Set(0)],
    }
}

fn set_up<P: ScsiProbe>(input: &Input) -> (Vec<Sent>, Option<P::LogRecord>) {
    let script = Script::new(input.setup.iter().map(step).chain([Step::GOOD; 3]));
    let task = Task::uncancelled(FD, Seconds(input.timeout), (), MapMemory::Absent);
    let record = set_up_over::<P>(&script, &task);
    (script.sent(), record)
}

/// A path from one check to the next.
struct Path<P: ScsiProbe> {
    memory: P::Memory,
    map: MapMemory,
}

/// What a check gave.
struct Checked<P: ScsiProbe> {
    sent: Vec<Sent>,
    outcome: Outcome<P>,
    new_map: Option<i32>,
}

impl<P: ScsiProbe> Path<P> {
    fn new(map: MapMemory) -> Path<P> {
        let memory = P::Memory::default();
        Path { memory, map }
    }

    /// A check of `input`, with these answers before the script ends.
    fn check(
        &mut self,
        input: &Input,
        answers: impl Iterator<Item = Step>,
        map_value: Option<i32>,
    ) -> Checked<P> {
        if let (Some(value), true) = (map_value, self.map != MapMemory::Absent) {
            self.map = MapMemory::Set(value);
        }
        let preferred = u64::try_from(input.preferred).map_err(|_| Errno(0));
        let script = Script::new(answers).preferring(preferred);
        let mut task = Task::uncancelled(FD, Seconds(input.timeout), self.memory, self.map);
        let outcome = check_over::<P>(&script, &mut task);
        (self.memory, self.map) = (task.memory, task.map());
        Checked {
            sent: script.sent(),
            outcome,
            new_map: task.new_map(),
        }
    }
}

fn run_checks<P: ScsiProbe>(case: &Case, name: &str, map: MapMemory) {
    let mut path = Path::<P>::new(map);
    for (check, expected) in case.input.checks.iter().zip(&case.expected) {
        let steps: Vec<Step> = check.answers.iter().map(step).collect();
        let checked = path.check(&case.input, steps.iter().copied(), check.map_value);
        let Outcome {
            verdict,
            record,
            last_reply,
        } = checked.outcome;
        verify(
            name,
            case.input.timeout,
            &checked.sent,
            &logged(record),
            expected,
        );
        verify_verdict(name, verdict, expected.verdict);
        let last = last_reply.map(|last| last.result);
        assert_eq!(last, steps.last().map(|step| step.result), "{name}");
        let new_map = expected.map.filter(|_| map != MapMemory::Absent);
        assert_eq!(checked.new_map, new_map, "{name}");
    }
}

/// State and message, as numbers.
fn numbers(verdict: Verdict) -> (i32, Option<i16>) {
    let message = verdict.message.map(MessageId::as_raw);
    (verdict.state.as_raw(), message)
}

/// Compares a verdict with the table's.
pub fn verify_verdict(name: &str, found: Verdict, expected: cases::Verdict) {
    let expected = (expected.state as i32, expected.message);
    assert_eq!(numbers(found), expected, "{name}");
}

fn logged<R: LogRecord>(record: Option<R>) -> Vec<(i32, String)> {
    captured(|| record.iter().for_each(LogRecord::emit))
}

fn verify(name: &str, timeout: u32, sent: &[Sent], logged: &[(i32, String)], expected: &Expected) {
    assert_eq!(sent.len(), expected.count, "{name}: {sent:#?}");
    for sent in sent {
        assert_eq!(sent.timeout, Millis(timeout.wrapping_mul(1000)), "{name}");
    }
    if let Some(commands) = &expected.commands {
        let sent: Vec<Command> = sent.iter().map(command).collect();
        assert_eq!(&sent, commands, "{name}");
    }
    assert_eq!(logged, expected.log, "{name}");
}

/// Gives the checker random input. Each verdict, with the log line beside it but for its numbers, must
/// be one that the table has.
pub fn run_random<P: ScsiProbe>(checker: Checker) {
    let kind = |verdict, log: &[(i32, String)]| {
        let line = log
            .first()
            .map(|(level, line)| (*level, line.get(..30).map(str::to_owned)));
        (verdict, line)
    };
    let known: Vec<_> = checker
        .cases()
        .iter()
        .flat_map(|case| &case.expected)
        .map(|one| kind((one.verdict.state as i32, one.verdict.message), &one.log))
        .collect();
    let config = Config {
        cases: RANDOM_INPUTS,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&any_input(checker, Hosts::All), |input| {
        let (sent, record) = set_up::<P>(&input);
        let clear = |answer: &Answer| answer.result.as_ref().is_ok_and(cases::Reply::is_clear);
        // The third command of a preparation changes the device.
        let careful = sent.len() < 3 || input.setup.iter().take(2).all(clear);
        let failed = |what: String| Err(TestCaseError::fail(what));
        if !careful {
            return failed(format!("{sent:?}"));
        }
        drop(logged(record));
        let map = maps(input.map).first().copied();
        let mut path = Path::<P>::new(map.unwrap_or(MapMemory::Absent));
        for check in &input.checks {
            let answers = check.answers.iter().map(step).chain([Step::GOOD; 20]);
            let outcome = path.check(&input, answers, check.map_value).outcome;
            let found = kind(numbers(outcome.verdict), &logged(outcome.record));
            if !known.contains(&found) {
                return failed(format!("{found:?}"));
            }
        }
        Ok(())
    });
    assert!(result.is_ok(), "{result:#?}");
}

/// The answer as the scripted transport gives it.
pub fn step(answer: &Answer) -> Step {
    match &answer.result {
        Err(errno) => Step::error(*errno),
        Ok(reply) => Step::reply(Reply {
            status: ScsiStatus(reply.status),
            host_status: HostStatus(reply.host),
            driver_status: DriverStatus(reply.driver),
            info: reply.info,
            residual: reply.residual,
            sense: Sense::new(reply.sense, reply.sense_length),
        })
        .with_data(&reply.data),
    }
}

fn command(sent: &Sent) -> Command {
    Command {
        cdb: sent.cdb.as_bytes().to_vec(),
        direction: match sent.direction {
            Direction::None => cases::Direction::None,
            Direction::In => cases::Direction::In,
            Direction::Out => cases::Direction::Out,
        },
        length: sent.length,
        out: sent.out.clone(),
    }
}

/// Runs one check whose first command gets this answer and which is cancelled meanwhile: it must send
/// nothing more. Nor must the next one, cancelled from the start, send anything.
pub fn run_cancelled<P: ScsiProbe>(first: &Answer) {
    cancelled(first, |transport, cancel| {
        let memory = <P as ScsiProbe>::Memory::default();
        let mut task = Task::new(FD, Seconds(30), memory, MapMemory::Absent, cancel);
        check_over::<P>(transport, &mut task);
    });
}

/// The same of the commands that prepare a path, which then have nothing to log.
pub fn run_cancelled_setup<P: ScsiProbe>(first: &Answer) {
    cancelled(first, |transport, cancel| {
        let task = Task::new(FD, Seconds(30), (), MapMemory::Absent, cancel);
        assert!(set_up_over::<P>(transport, &task).is_none());
    });
}

fn cancelled(first: &Answer, work: impl Fn(&CancelledMeanwhile<'_>, &AtomicBool)) {
    let cancel = AtomicBool::new(false);
    let transport = CancelledMeanwhile {
        script: Script::new([step(first)]),
        cancel: &cancel,
    };
    for _ in 0..2 {
        work(&transport, &cancel);
        assert_eq!(transport.script.sent().len(), 1);
    }
}

/// Compares the checker's messages with the table's, and the ids of those that every checker has.
pub fn verify_messages<P: Probe>(checker: Checker) {
    assert_eq!(P::NAME, checker.name());
    let table = <Asynchronous<P> as checkers_core::Checker>::MESSAGES;
    let text = |id| resolve(id, table).to_str().unwrap_or_default();
    let own = |index: usize| MessageId::plugin(index);
    let found: Vec<&str> = (0..table.len()).map(|index| text(own(index))).collect();
    assert_eq!(found, checker.messages());
    assert_eq!(own(0).as_raw(), 100);
    assert_eq!(text(own(table.len())), "");
    assert_eq!(text(P::MESSAGES.running()), " still running");
    assert_eq!(text(P::MESSAGES.timed_out()), " timed out");
    assert_eq!(text(P::MESSAGES.not_started()), " failed to initialize");
}

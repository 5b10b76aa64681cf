//! Runs the decision tables of the SCSI checkers as unit tests, over a scripted transport.
//!
//! Every function panics when the checker does something else than its table says.

#![forbid(unsafe_code)]

mod capture;

pub use capture::captured;

use cases::{Answer, Case, Checker, Command, Expected, Map};
use checkers_core::{
    Asynchronous, LogRecord, MapMemory, MessageId, Probe, ScsiProbe, Seconds, Task, Verdict,
    check_over, resolve, set_up_over,
};
use sg_io::script::{CancelledMeanwhile, Direction, Script, Sent, Step};
use sg_io::{DriverStatus, Errno, HostStatus, Millis, Reply, ScsiStatus, Sense};
use std::sync::atomic::AtomicBool;

/// The descriptor of every path.
pub const FD: i32 = 3;

/// Runs the decision table of `checker`, which is `P`.
pub fn run<P: ScsiProbe>(checker: Checker) {
    for case in checker.cases() {
        for map in maps(case.input.map) {
            let name = format!("{}, {map:?}", case.name);
            run_setup::<P>(&case, &name);
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

fn run_setup<P: ScsiProbe>(case: &Case, name: &str) {
    if case.input.setup.is_empty() {
        return;
    }
    let script = Script::new(case.input.setup.iter().map(step));
    let task = Task::uncancelled(FD, Seconds(case.input.timeout), (), MapMemory::Absent);
    let record = set_up_over::<P>(&script, &task);
    verify(name, case, &script.sent(), record, &case.setup);
}

fn run_checks<P: ScsiProbe>(case: &Case, name: &str, mut map: MapMemory) {
    let mut memory = <P as ScsiProbe>::Memory::default();
    for (input, expected) in case.input.checks.iter().zip(&case.expected) {
        if let (Some(value), true) = (input.map_value, map != MapMemory::Absent) {
            map = MapMemory::Set(value);
        }
        let steps: Vec<Step> = input.answers.iter().map(step).collect();
        let preferred = u64::try_from(case.input.preferred).map_err(|_| Errno(0));
        let script = Script::new(steps.iter().copied()).preferring(preferred);
        let mut task = Task::uncancelled(FD, Seconds(case.input.timeout), memory, map);
        let outcome = check_over::<P>(&script, &mut task);
        verify(name, case, &script.sent(), outcome.record, expected);
        verify_verdict(name, outcome.verdict, expected.verdict);
        let last = outcome.last_reply.map(|last| last.result);
        assert_eq!(last, steps.last().map(|step| step.result), "{name}");
        match (expected.map, map) {
            (Some(value), MapMemory::Unset | MapMemory::Set(_)) => {
                assert_eq!(task.new_map(), Some(value), "{name}");
            }
            _ => assert_eq!(task.new_map(), None, "{name}"),
        }
        (memory, map) = (task.memory, task.map());
    }
}

/// Compares a verdict with the table's.
pub fn verify_verdict(name: &str, found: Verdict, expected: cases::Verdict) {
    let found = (found.state.as_raw(), found.message.map(MessageId::as_raw));
    let expected = (expected.state as i32, expected.message);
    assert_eq!(found, expected, "{name}");
}

fn verify<R: LogRecord>(
    name: &str,
    case: &Case,
    sent: &[Sent],
    record: Option<R>,
    expected: &Expected,
) {
    assert_eq!(sent.len(), expected.count, "{name}: {sent:#?}");
    for sent in sent {
        assert_eq!(sent.timeout, Millis(1000 * case.input.timeout), "{name}");
    }
    if let Some(commands) = &expected.commands {
        let sent: Vec<Command> = sent.iter().map(command).collect();
        assert_eq!(&sent, commands, "{name}");
    }
    let logged = captured(|| record.iter().for_each(LogRecord::emit));
    assert_eq!(logged, expected.log, "{name}");
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

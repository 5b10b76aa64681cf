//! One check of each SCSI checker over a device that says anything.

use crate::input::Input;
use crate::sense::is_readable;
use checker_cciss_tur::CcissTur;
use checker_emc_clariion::EmcClariion;
use checker_hp_sw::HpSw;
use checker_rdac::Rdac;
use checker_readsector0::Readsector0;
use checker_tur::Tur;
use checkers_core::{
    Asynchronous, Checker, check_over, set_up_over, MapMemory, MessageId, LogRecord, Outcome, PathState, Probe, Seconds, Task, Verdict,
};
use sg_io::cciss::{Answer, Controller};
use sg_io::{Command, Data, Errno, Reply, Transport};
use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::os::fd::RawFd;
use std::sync::Once;

/// No check sends more commands than this: a few, each with a few attempts. Reads that a signal
/// interrupts are sent again without counting, as in multipath-tools.
const MOST_COMMANDS: u32 = 40;

/// What the script is run with.
const FD: RawFd = 7;

/// Runs the checker that the first byte chooses, twice: the same replies give the same verdict.
///
/// # Panics
/// When something does not hold.
pub fn run(bytes: &[u8]) {
    listen();
    let mut input = Input::new(bytes);
    let (which, map) = (input.byte(), input.byte());
    let map = match map {
        0 => MapMemory::Absent,
        1 => MapMemory::Unset,
        other => MapMemory::Set(i32::from(other) - 2),
    };
    let one = once(which, map, input.clone());
    assert_eq!(one, once(which, map, input));
}

fn once(which: u8, map: MapMemory, input: Input<'_>) -> Verdict {
    let script = Script {
        input: RefCell::new(input),
        commands: Cell::new(0),
    };
    let plain = || Task::uncancelled(FD, Seconds(3), (), map);
    let verdict = match which % 6 {
        0 => judge(check_over::<Tur>(&script, &mut plain())),
        1 => judge(check_over::<Readsector0>(&script, &mut plain())),
        2 => {
            if let Some(record) = set_up_over::<Rdac>(&script, &plain()) {
                record.emit();
            }
            judge(check_over::<Rdac>(&script, &mut plain()))
        }
        3 => {
            // Twice with one memory: the unit's name may change.
            let mut task = Task::uncancelled(FD, Seconds(3), None, map);
            judge(check_over::<EmcClariion>(&script, &mut task));
            assert_eq!(task.map() == MapMemory::Absent, map == MapMemory::Absent);
            judge(check_over::<EmcClariion>(&script, &mut task))
        }
        4 => judge(check_over::<HpSw>(&script, &mut plain())),
        _ => judge(checker_cciss_tur::run(&script, &plain())),
    };
    assert!(script.commands.get() <= MOST_COMMANDS);
    verdict
}

/// What holds for every outcome.
fn judge<P: Judged>(outcome: Outcome<P>) -> Verdict {
    let Verdict { state, message } = outcome.verdict;
    assert!(P::STATES.contains(&state), "{state:?}");
    if let Some(id) = message.map(MessageId::as_raw) {
        let own = usize::try_from(id).ok().and_then(|id| id.checked_sub(100));
        match own {
            Some(own) => assert!(<Asynchronous<P> as Checker>::MESSAGES.get(own).is_some(), "message {id}"),
            None => assert!((0..=8).contains(&id), "message {id}"),
        }
    }
    if let Some(record) = &outcome.record {
        record.emit();
    }
    if let Some(last_reply) = &outcome.last_reply {
        is_readable(&last_reply.to_string());
    }
    outcome.verdict
}

/// The states that a checker may give.
trait Judged: Probe<LogRecord: LogRecord, LastReply: Display> {
    const STATES: &'static [PathState];
}

macro_rules! judged {
    ($($checker:ty: $($state:ident),*;)*) => {
        $(impl Judged for $checker {
            const STATES: &'static [PathState] = &[$(PathState::$state),*];
        })*
    };
}

judged! {
    Tur: Up, Down, Ghost, Pending, Wild, Disconnected;
    Readsector0: Up, Down;
    Rdac: Up, Down, Ghost, Wild;
    EmcClariion: Up, Down, Shaky, Wild;
    HpSw: Up, Down, Ghost, Wild;
    CcissTur: Up, Down;
}

/// Formats every line, whatever its level.
struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        is_readable(&record.args().to_string());
    }

    fn flush(&self) {}
}

/// From now on log lines are formatted; to be called first.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Only the first logger of a process is taken.
        let _ = log::set_logger(&Lines);
        log::set_max_level(log::LevelFilter::Trace);
    });
}

/// A device whose replies are the bytes.
struct Script<'a> {
    input: RefCell<Input<'a>>,
    commands: Cell<u32>,
}

impl Script<'_> {
    fn count(&self, fd: RawFd) {
        assert_eq!(fd, FD);
        self.commands.set(self.commands.get() + 1);
    }
}

impl Transport for Script<'_> {
    fn execute(&self, fd: RawFd, command: &mut Command<'_>) -> Result<Reply, Errno> {
        self.count(fd);
        let mut input = self.input.borrow_mut();
        let cdb = command.cdb.as_bytes();
        assert!(matches!(cdb, [0x00 | 0x12 | 0x28 | 0x55 | 0x5a, ..]));
        if input.byte() == 255 {
            let errno = input.byte().into();
            if errno == libc::EINTR {
                self.commands.set(self.commands.get() - 1);
            }
            return Err(Errno(errno));
        }
        if let Data::In(place) = &mut command.data {
            let length = usize::from(input.byte()).min(place.len());
            input.fill(&mut place[..length]);
        }
        Ok(input.reply())
    }

    fn preferred_io(&self, _fd: RawFd) -> Result<u64, Errno> {
        let mut input = self.input.borrow_mut();
        match input.byte() {
            255 => Err(Errno(libc::EBADF)),
            shift => Ok(1 << (shift % 64)),
        }
    }
}

impl Controller for Script<'_> {
    fn logical_volume(&self, fd: RawFd) -> Result<u32, Errno> {
        self.count(fd);
        let mut input = self.input.borrow_mut();
        match input.byte() {
            255 => Err(Errno(input.byte().into())),
            volume => Ok(volume.into()),
        }
    }

    fn test_unit_ready(&self, fd: RawFd, _volume: u32) -> Result<Answer, Errno> {
        self.count(fd);
        let mut input = self.input.borrow_mut();
        match input.byte() {
            255 => Err(Errno(input.byte().into())),
            scsi_status => Ok(Answer {
                scsi_status,
                command_status: input.byte().into(),
            }),
        }
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! Checks of each SCSI checker over a device with any replies.

use crate::input::Input;
use crate::sense::is_readable;
use checkers::checker_cciss_tur;
use checkers_core::{
    Asynchronous, Checker, LogRecord, MapMemory, MessageId, Outcome, PathState, Probe, ScsiProbe,
    Seconds, Task, Verdict, check_over, set_up_over,
};
use sg_io::cciss::{Answer, Controller};
use sg_io::{Command, Data, Errno, Reply, Transport};
use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::os::fd::RawFd;
use std::sync::Once;

/// No check, with the setup before it, sends more commands than this: a few, each with a few attempts. Reads
/// that a signal interrupts are sent again without counting, as upstream.
const MOST_COMMANDS: u32 = 40;

/// The descriptor of the device.
const FD: RawFd = 7;

macro_rules! scsi {
    ($({ $name:ident $crate_name:ident $checker:ty $(, probe $probe:ty)? $(, scsi $scsi:ty)? })*) => {
        &[$($(checks::<$scsi> as Checks,)?)* checks_of_volume]
    };
}

/// Checks with one checker over a device.
type Checks = fn(&Device<'_>, MapMemory) -> Verdict;

/// The SCSI checkers, and the one with requests of its own in place of SCSI commands.
const CHECKERS: &[Checks] = checkers::for_each_checker!(scsi);

/// Runs the checker that the first byte selects, twice: the same replies give the same verdict.
///
/// # Panics
/// When a verdict, a message or a line for people is not one that the checker may have.
pub fn run(bytes: &[u8]) {
    format_log_lines();
    let mut input = Input::new(bytes);
    let (which, map) = (input.byte(), input.byte());
    let checks = CHECKERS[usize::from(which) % CHECKERS.len()];
    let map = match map {
        0 => MapMemory::Absent,
        1 => MapMemory::Unset,
        other => MapMemory::Set(i32::from(other) - 2),
    };
    let verdict = || checks(&Device::new(input.clone()), map);
    assert_eq!(verdict(), verdict());
}

/// The setup and two checks with one memory, since the second compares with what the first remembers.
fn checks<P: ScsiProbe>(device: &Device<'_>, map: MapMemory) -> Verdict {
    if let Some(record) = set_up_over::<P>(device, &Task::uncancelled(FD, Seconds(3), (), map)) {
        record.emit();
    }
    let mut task = Task::uncancelled(FD, Seconds(3), P::Memory::default(), map);
    verify(device, check_over::<P>(device, &mut task));
    assert_eq!(task.map() == MapMemory::Absent, map == MapMemory::Absent);
    verify(device, check_over::<P>(device, &mut task))
}

fn checks_of_volume(device: &Device<'_>, map: MapMemory) -> Verdict {
    let task = Task::uncancelled(FD, Seconds(3), (), map);
    verify(device, checker_cciss_tur::run(device, &task))
}

/// Verifies what holds for every outcome, and returns the verdict.
fn verify<P: Probe<LastReply: Display>>(device: &Device<'_>, outcome: Outcome<P>) -> Verdict {
    let Verdict { state, message } = outcome.verdict;
    assert!(states(P::NAME).contains(&state), "{state:?}");
    if let Some(id) = message.map(MessageId::as_raw) {
        let own = usize::try_from(id).ok().and_then(|id| id.checked_sub(100));
        let table = <Asynchronous<P> as Checker>::MESSAGES;
        match own {
            Some(own) => assert!(table.get(own).is_some(), "message {id}"),
            None => assert!((0..=8).contains(&id), "message {id}"),
        }
    }
    if let Some(record) = &outcome.record {
        record.emit();
    }
    if let Some(last_reply) = &outcome.last_reply {
        is_readable(&last_reply.to_string());
    }
    assert!(device.commands.replace(0) <= MOST_COMMANDS);
    outcome.verdict
}

/// The states that a checker may return. A checker without a row may return all that a reply can have.
fn states(checker: &str) -> &'static [PathState] {
    use PathState::{Disconnected, Down, Ghost, Pending, Shaky, Up, Wild};
    match checker {
        "tur" => &[Up, Down, Ghost, Pending, Wild, Disconnected],
        "readsector0" | "cciss_tur" => &[Up, Down],
        "rdac" | "hp_sw" => &[Up, Down, Ghost, Wild],
        "emc_clariion" => &[Up, Down, Shaky, Wild],
        _ => &[Up, Down, Ghost, Pending, Wild, Shaky, Disconnected],
    }
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

/// Has log lines formatted from now on.
fn format_log_lines() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Only the first logger of a process is taken.
        let _ = log::set_logger(&Lines);
        log::set_max_level(log::LevelFilter::Trace);
    });
}

/// A device whose replies are the bytes.
struct Device<'a> {
    input: RefCell<Input<'a>>,
    commands: Cell<u32>,
}

impl Device<'_> {
    fn new(input: Input<'_>) -> Device<'_> {
        Device {
            input: RefCell::new(input),
            commands: Cell::new(0),
        }
    }

    fn count(&self, fd: RawFd) {
        assert_eq!(fd, FD);
        self.commands.set(self.commands.get() + 1);
    }
}

impl Transport for Device<'_> {
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

impl Controller for Device<'_> {
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

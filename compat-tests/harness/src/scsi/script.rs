// SPDX-License-Identifier: LGPL-2.0-or-later

//! Scripted devices: they reply from a list and record every command.

use super::request::{Sent, read, write};
use super::{Behaviour, Device};
use crate::Result;
use cases::{Answer, Pace, Reply};
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::ffi::{c_int, c_ulong, c_void};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

#[derive(Debug, Default)]
struct Script {
    /// Answers to MODE SENSE and MODE SELECT, which only the preparation of a path sends.
    setup: VecDeque<Answer>,
    /// Answers to everything else.
    check: VecDeque<Answer>,
    sent: Vec<Sent>,
    released: bool,
    /// `st_blksize`
    preferred: i64,
}

/// A device with a script. Once that is at its end, every command succeeds.
#[derive(Debug)]
pub struct Scripted {
    /// Its number in log lines, `major:minor`.
    pub name: String,
    file: OwnedFd,
    minor: u32,
    script: Mutex<Script>,
    gate: Condvar,
}

static DEVICES: RwLock<Option<HashMap<Device, Arc<Scripted>>>> = RwLock::new(None);

/// The major number of all of them.
const MAJOR: u32 = 8;

/// Before the first minor number.
const FIRST_MINOR: u32 = 16;

thread_local! {
    /// The descriptor of the device to which this thread sent its last command.
    static LAST: Cell<Option<RawFd>> = const { Cell::new(None) };
}

/// The descriptor of the scripted device to which the calling thread sent its last command.
pub fn last_used() -> Option<RawFd> {
    LAST.get()
}

/// The descriptor of the device with whose number, `major:minor : `, a log line begins.
pub fn named_by(line: &str) -> Option<RawFd> {
    let (name, _) = line.split_once(" : ")?;
    let devices = unpoisoned(DEVICES.read());
    let mut devices = devices.as_ref()?.values();
    devices.find(|one| one.name == name).map(|one| one.fd())
}

fn unpoisoned<T>(result: std::result::Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

fn find(device: Device) -> Option<Arc<Scripted>> {
    unpoisoned(DEVICES.read()).as_ref()?.get(&device).cloned()
}

impl Scripted {
    /// A new device, which lasts as long as the process.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn new() -> Result<Arc<Scripted>> {
        let mut devices = unpoisoned(DEVICES.write());
        let devices = devices.get_or_insert_default();
        let minor = FIRST_MINOR + devices.len() as u32;
        let device = Device::new(Behaviour::Scripted);
        let scripted = Arc::new(Scripted {
            name: format!("{MAJOR}:{minor}"),
            file: device.open()?,
            minor,
            script: Mutex::new(Script {
                preferred: 512,
                ..Script::default()
            }),
            gate: Condvar::new(),
        });
        devices.insert(device, Arc::clone(&scripted));
        Ok(scripted)
    }

    /// Its descriptor.
    pub fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        unpoisoned(self.script.lock())
    }

    /// Sets the preferred transfer size.
    pub fn prefer(&self, size: i64) {
        self.script().preferred = size;
    }

    /// Sets the answers to MODE SENSE and MODE SELECT.
    pub fn answer_setup(&self, answers: &[Answer]) {
        self.script().setup = answers.iter().cloned().collect();
    }

    /// Sets the answers to all other commands from now on.
    pub fn answer(&self, answers: &[Answer]) {
        self.script().check = answers.iter().cloned().collect();
    }

    /// Takes the record of the commands.
    pub fn take_sent(&self) -> Vec<Sent> {
        std::mem::take(&mut self.script().sent)
    }

    /// How many commands there were since the record was last taken.
    pub fn count_all(&self) -> usize {
        self.script().sent.len()
    }

    /// How many of them were of checks.
    pub fn count(&self) -> usize {
        let script = self.script();
        let checks = script.sent.iter().filter(|sent| !sent.is_preparation());
        checks.count()
    }

    /// Ends hung commands, and those to come as well.
    pub fn release(&self) {
        self.script().released = true;
        self.gate.notify_all();
    }

    /// Records a command and returns its answer when it is time.
    fn take(&self, sent: Sent) -> std::result::Result<Reply, i32> {
        let mut script = self.script();
        let answers = match sent.is_preparation() {
            true => &mut script.setup,
            false => &mut script.check,
        };
        let answer = answers.pop_front().unwrap_or_else(|| Reply::GOOD.into());
        script.sent.push(sent);
        match answer.pace {
            Pace::AtOnce => {}
            Pace::After(time) => {
                drop(script);
                super::sleep(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
            }
            Pace::Hung => {
                let held = |script: &mut Script| !script.released;
                drop(unpoisoned(self.gate.wait_while(script, held)));
            }
        }
        answer.result
    }
}

/// Gives a request to a device with a script; the errno with which it fails.
///
/// # Safety
/// `argument` must be what `request` needs.
pub(super) unsafe fn command(
    device: Device,
    request: c_ulong,
    argument: *mut c_void,
) -> std::result::Result<(), c_int> {
    let Some(scripted) = find(device) else {
        return Err(libc::ENODEV);
    };
    LAST.set(Some(scripted.fd()));
    // SAFETY: the caller's promise.
    let Some(sent) = (unsafe { read(request, argument) }) else {
        return Err(libc::ENOTTY);
    };
    let reply = scripted.take(sent)?;
    // SAFETY: as above.
    unsafe { write(request, argument, &reply) };
    Ok(())
}

/// Fills in what the kernel says of a block device.
///
/// # Safety
/// `stat` must point to a `struct stat`.
pub(super) unsafe fn fstat(device: Device, stat: *mut libc::stat) -> bool {
    let Some(scripted) = find(device) else {
        return false;
    };
    // SAFETY: the caller's pointer is to a struct stat, for which zeros are valid.
    unsafe {
        stat.write_bytes(0, 1);
        (*stat).st_mode = libc::S_IFBLK;
        (*stat).st_rdev = libc::makedev(MAJOR, scripted.minor);
        (*stat).st_blksize = scripted.script().preferred;
    }
    true
}

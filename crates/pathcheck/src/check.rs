// SPDX-License-Identifier: LGPL-2.0-or-later

//! One device: found, opened and checked as by multipathd.
//!
//! Any step may block on a dead device. Each is reported before it begins, and the calling thread has no
//! other work.

use crate::checkers::{Class, Instance};
use crate::device_info::DeviceInfo;
use crate::outcome::{Finding, Outcome};
use crate::protocol::{Event, Job, Step};
use crate::reason::Reason;
use crate::sysfs_state;
use checkers_core::{
    Call, Delivery, InitError, MapMemory, MessageTable, Mode, PathState, Seconds, Verdict, resolve,
};
use kernel_fd::Errno;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the daemon waits before it polls a check that it has just started.
const FIRST_POLL: Duration = Duration::from_millis(5);

/// How long the daemon's round takes at least.
const ROUND: Duration = Duration::from_secs(1);

/// The time between two polls is an eighth of the time that has passed, within these limits, so that a
/// latency is measured to about that fraction.
const SHORTEST: Duration = Duration::from_micros(20);
const LONGEST: Duration = Duration::from_millis(50);

/// The stage of a job.
pub(crate) enum Stage {
    /// The check has been started and is to be polled.
    InFlight(Check),
    Ended(Outcome),
}

/// Finds the device, opens it and starts its check.
pub(crate) fn begin(job: &Job, report: &mut dyn FnMut(Event)) -> Stage {
    match prepare(job, report) {
        Ok(stage) => stage,
        Err(outcome) => Stage::Ended(*outcome),
    }
}

/// [`begin`]; the error is the outcome of a job that comes to no check.
fn prepare(job: &Job, report: &mut dyn FnMut(Event)) -> Result<Stage, Box<Outcome>> {
    let failed = |why| Box::new(Outcome::Failed(why));
    let found = fs::metadata(&job.device);
    let found = found.map_err(|error| failed(not_found(&job.device, &error)))?;
    let info = device_info(&found).map_err(|what| {
        let why = format!("{what}: only block devices and image files can be checked");
        failed(why)
    })?;
    let choice = job.choice(Some(&info));
    let class = choice.and_then(|choice| Class::named(&choice.checker, job.options.mode_select));
    let class = class.ok_or_else(|| failed("there is no such checker".to_owned()))?;
    let timeout = Seconds(job.options.timeout.unwrap_or(info.timeout));
    let empty = info.size == 0;
    let stopped = sysfs_state::verdict(&info);
    report(Event::Found(info));
    if let Some((state, message)) = stopped {
        return Ok(Stage::Ended(Outcome::Checked(Finding::new(state, message))));
    }

    report(Event::Begins(Step::Open));
    let file = File::open(&job.device).map_err(|error| Box::new(not_opened(job, &error)))?;

    report(Event::Begins(Step::Check));
    Check::start(class, file, timeout, empty)
        .map_err(|error| failed(not_prepared(error, Path::new("/proc/sys/fs"))))
}

/// What a file is; the error is the kind of file that cannot be checked.
fn device_info(found: &fs::Metadata) -> Result<DeviceInfo, &'static str> {
    match unfit(found.file_type()) {
        Some(what) => Err(what),
        None if found.is_file() => Ok(DeviceInfo::file(found.len())),
        None => {
            let number = found.rdev();
            let (major, minor) = (libc::major(number), libc::minor(number));
            Ok(DeviceInfo::block_device(Path::new("/sys"), major, minor))
        }
    }
}

/// A check in flight.
pub(crate) struct Check {
    checker: Box<dyn Instance>,
    messages: MessageTable,
    call: Call,
    /// The open device; `call.fd` is its descriptor.
    file: File,
    /// The device's size is 0.
    empty: bool,
    start: Instant,
    /// When to poll.
    due: Instant,
    /// The verdict of a check that has no result yet.
    started: Verdict,
}

impl Check {
    /// Starts a check of an open device.
    fn start(class: &Class, file: File, timeout: Seconds, empty: bool) -> Result<Stage, InitError> {
        let call = Call {
            fd: file.as_raw_fd(),
            timeout,
            mode: Mode::Async,
            delivery: Delivery::Pending,
            path_state: PathState::Unchecked,
            map: MapMemory::Absent,
            clock: kernel_fd::monotonic,
        };
        let mut checker = (class.init)(&call)?;
        let start = Instant::now();
        let started = checker.check(&call);
        let check = Check {
            checker,
            messages: class.messages,
            call,
            file,
            empty,
            start,
            due: start,
            started,
        };
        Ok(check.go_on(started))
    }

    /// When to poll.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Polls the check.
    pub(crate) fn poll(mut self) -> Stage {
        self.call.path_state = PathState::Pending;
        let verdict = self.checker.pending(&self.call);
        self.go_on(verdict)
    }

    /// Whether the verdict is a result. An array in transition is PENDING as well, with another message.
    fn is_final(&self, verdict: Verdict) -> bool {
        verdict != self.started || verdict.state != PathState::Pending
    }

    /// Keeps the check in flight, unless there is a result or the time limit has passed.
    fn go_on(mut self, verdict: Verdict) -> Stage {
        let limit = self.call.timeout.as_duration();
        let now = Instant::now();
        let passed = now.saturating_duration_since(self.start);
        if self.is_final(verdict) || passed > limit.max(FIRST_POLL) {
            return Stage::Ended(Outcome::Checked(self.end(verdict, passed)));
        }
        self.due = now
            + match limit.checked_sub(passed) {
                Some(left) if limit > FIRST_POLL => (passed / 8)
                    .clamp(SHORTEST, LONGEST)
                    // The last poll is just after the limit.
                    .min(left + Duration::from_millis(1)),
                _ => FIRST_POLL,
            };
        Stage::InFlight(self)
    }

    /// Returns the result, and closes the device.
    fn end(mut self, mut verdict: Verdict, passed: Duration) -> Finding {
        // The verdict that the daemon would get in its next round.
        if !self.is_final(verdict) {
            self.call.clock = || kernel_fd::monotonic().plus(ROUND);
            verdict = self.checker.pending(&self.call);
        }
        if !self.is_final(verdict) {
            verdict = self.checker.check(&self.call);
        }
        let reason = self.checker.explain();
        let limit = self.call.timeout.as_duration();
        // A verdict caused by the time limit is no reply of the device.
        let answered = self.is_final(verdict)
            && verdict.state != PathState::Timeout
            && (verdict.state == PathState::Up
                || reason.is_some()
                || passed <= limit.max(FIRST_POLL));
        let answered = answered.then_some(passed);
        let mut finding = Finding {
            reason: reason.filter(|_| verdict.state != PathState::Up),
            ..finding(verdict, self.messages, self.call.timeout, answered)
        };
        if self.empty && finding.state() == PathState::Down {
            finding.message.push_str(": its size is 0");
        }
        self.checker.free(&self.call);
        drop(self.file);
        finding
    }
}

fn finding(
    verdict: Verdict,
    messages: MessageTable,
    timeout: Seconds,
    answered: Option<Duration>,
) -> Finding {
    let text = verdict
        .message
        .map(|id| resolve(id, messages).to_string_lossy());
    // The daemon puts the checker's name before the text.
    let text = text.unwrap_or_default();
    let text = text.trim_start_matches([' ', ':']);
    let message = match answered {
        Some(_) => text.to_owned(),
        None => format!("{text}: no answer within {timeout}"),
    };
    Finding {
        message_id: verdict.message.map(|id| id.as_raw()),
        latency_us: answered.map(|passed| passed.as_micros().try_into().unwrap_or(u64::MAX)),
        hangs: answered.is_none(),
        ..Finding::new(verdict.state, message)
    }
}

/// The kind of a file that cannot be checked.
fn unfit(is: fs::FileType) -> Option<&'static str> {
    if is.is_block_device() || is.is_file() {
        None
    } else if is.is_dir() {
        Some("a directory")
    } else if is.is_char_device() {
        Some("a character device")
    } else if is.is_fifo() {
        Some("a pipe")
    } else {
        Some("a socket")
    }
}

fn not_found(device: &OsStr, error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT) => {
            let known = !device.is_empty() && Path::new("/sys/class/block").join(device).exists();
            match known {
                true => format!(
                    "no such file: did you mean /dev/{}?",
                    device.to_string_lossy()
                ),
                false => "no such file or device".to_owned(),
            }
        }
        Some(libc::EACCES) => "permission denied in its directory: run as root".to_owned(),
        _ => reason(error),
    }
}

/// The outcome for a device that exists and cannot be opened: failed, if the user may not open it or
/// resources are short; otherwise DOWN, as for the daemon.
fn not_opened(job: &Job, error: &io::Error) -> Outcome {
    let block = fs::metadata(&job.device).is_ok_and(|found| found.file_type().is_block_device());
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => Outcome::Failed(forbidden(block).to_owned()),
        Some(libc::ENOMEDIUM) if job.options.listed => Outcome::Skipped("no medium".to_owned()),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) | None => Outcome::Failed(reason(error)),
        Some(errno) if block => {
            let finding = Finding::new(PathState::Down, "cannot be opened".to_owned());
            Outcome::Checked(Finding {
                reason: Some(Reason::error("open", Errno(errno))),
                ..finding
            })
        }
        Some(_) => Outcome::Failed(reason(error)),
    }
}

/// Why a file that exists may not be opened, and the way out.
fn forbidden(block: bool) -> &'static str {
    let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    match (root, block) {
        (true, _) => "permission denied even to root: a container's or a security module's rule",
        (false, true) => "permission denied: run as root or as a member of the device's group",
        (false, false) => "permission denied: run as root or as the file's owner",
    }
}

/// Why there is no checker for a device that is open; `sysctl` is where the kernel's settings are.
fn not_prepared(error: InitError, sysctl: &Path) -> String {
    match error {
        InitError::Os(libc::EAGAIN) => {
            let value = |name| {
                let value = fs::read_to_string(sysctl.join(name)).unwrap_or_default();
                value.trim().to_owned()
            };
            format!(
                "fs.aio-max-nr is {} and {} are in use: raise it with sysctl",
                value("aio-max-nr"),
                value("aio-nr")
            )
        }
        InitError::Os(libc::EINVAL) => {
            "no direct I/O (O_DIRECT) on its file system, which the checker needs".to_owned()
        }
        InitError::Os(libc::ENOSYS) => {
            "the kernel has no asynchronous I/O (CONFIG_AIO), which the checker needs".to_owned()
        }
        InitError::Os(errno) => reason(&Errno(errno).into()),
        other => other.to_string(),
    }
}

/// An error's text without its number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text.get(..end).unwrap_or(&text).to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests;

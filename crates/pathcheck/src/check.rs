//! One device: looked up, opened and checked as multipathd does it.
//!
//! Any step may block on a dead device, whatever it promises; the caller gives this a thread of its
//! own and is told what comes next.

use crate::checkers::{Class, Instance};
use crate::facts::Facts;
use crate::outcome::{Finding, Outcome};
use crate::protocol::{Job, News, Step};
use crate::reason::Reason;
use crate::sysfs_state;
use checkers_core::{
    Call, Delivery, InitError, MapMemory, MessageTable, Mode, PathState, Seconds, Verdict, resolve,
};
use kernel_fd::Errno;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the daemon waits before it looks for the answer of a check that it has just started.
const FIRST_LOOK: Duration = Duration::from_millis(5);

/// How long the daemon's round takes at least.
const ROUND: Duration = Duration::from_secs(1);

/// Between two looks for an answer an eighth of the time that has passed goes by, within these
/// limits, so that a latency is measured to about that fraction.
const SHORTEST: Duration = Duration::from_micros(20);
const LONGEST: Duration = Duration::from_millis(50);

/// Does the whole job and says what came of it.
pub(crate) fn run(job: &Job, tell: &mut dyn FnMut(News)) -> Outcome {
    tell(News::Begins(Step::LookUp));
    let facts = match fs::metadata(&job.device) {
        Ok(found) => match facts(&found) {
            Ok(facts) => facts,
            Err(what) => {
                let why = format!("{what}: only block devices and image files can be checked");
                return Outcome::Failed(why);
            }
        },
        Err(error) => return Outcome::Failed(not_found(&job.device, &error)),
    };
    let choice = job.choice(Some(&facts));
    let class = choice.and_then(|choice| Class::named(&choice.checker, job.mode_select));
    let Some(class) = class else {
        return Outcome::Failed("there is no such checker".to_owned());
    };
    let timeout = Seconds(job.timeout.unwrap_or(facts.timeout));
    let empty = facts.size == 0;
    let stopped = sysfs_state::verdict(&facts);
    tell(News::Found(facts));
    if let Some((state, message)) = stopped {
        return Outcome::Checked(Finding::new(state, message));
    }

    tell(News::Begins(Step::Open));
    let file = match File::open(&job.device) {
        Ok(file) => file,
        Err(error) => return not_opened(job, &error),
    };

    tell(News::Begins(Step::Check));
    match check(class, file.as_raw_fd(), timeout) {
        Ok(mut finding) => {
            if empty && finding.state() == PathState::Down {
                finding.message.push_str(": its size is 0");
            }
            Outcome::Checked(finding)
        }
        Err(error) => Outcome::Failed(not_prepared(error, Path::new("/proc/sys/fs"))),
    }
}

/// What a file is; the error is the kind of file that cannot be checked.
fn facts(found: &fs::Metadata) -> Result<Facts, &'static str> {
    match unfit(found.file_type()) {
        Some(what) => Err(what),
        None if found.is_file() => Ok(Facts::file(found.len())),
        None => {
            let number = found.rdev();
            let (major, minor) = (libc::major(number), libc::minor(number));
            Ok(Facts::block_device(Path::new("/sys"), major, minor))
        }
    }
}

/// One check, from the checker's first call to its last.
fn check(class: &Class, fd: RawFd, timeout: Seconds) -> Result<Finding, InitError> {
    let mut call = Call {
        fd,
        timeout,
        mode: Mode::Async,
        delivery: Delivery::Pending,
        path_state: PathState::Unchecked,
        map: MapMemory::Absent,
        init_message: None,
        clock: kernel_fd::monotonic,
    };
    let mut checker = (class.init)(&mut call)?;
    let finding = ask(checker.as_mut(), class.messages, &mut call);
    checker.free(&call);
    Ok(finding)
}

/// Starts a check and looks for its answer until it is there or the time is up.
fn ask(checker: &mut dyn Instance, messages: MessageTable, call: &mut Call) -> Finding {
    let limit = call.timeout.as_duration();
    let start = Instant::now();
    let started = checker.check(call);
    // An array in transition answers "pending" as well, with another message.
    let under_way = |verdict| verdict == started && started.state == PathState::Pending;
    let mut verdict = started;
    let mut passed = start.elapsed();
    while under_way(verdict) && passed <= limit.max(FIRST_LOOK) {
        std::thread::sleep(match limit.checked_sub(passed) {
            Some(left) if limit > FIRST_LOOK => (passed / 8)
                .clamp(SHORTEST, LONGEST)
                // The last look comes just after the limit.
                .min(left + Duration::from_millis(1)),
            _ => FIRST_LOOK,
        });
        call.path_state = verdict.state;
        verdict = checker.pending(call);
        passed = start.elapsed();
    }
    // What the daemon would be told in its next round.
    if under_way(verdict) {
        call.clock = || kernel_fd::monotonic().plus(ROUND);
        verdict = checker.pending(call);
    }
    if under_way(verdict) {
        verdict = checker.check(call);
    }
    let reason = checker.explain();
    // A verdict that the limit brought about is no answer of the device's.
    let answered = !under_way(verdict)
        && verdict.state != PathState::Timeout
        && (verdict.state == PathState::Up || reason.is_some() || passed <= limit.max(FIRST_LOOK));
    Finding {
        reason: reason.filter(|_| verdict.state != PathState::Up),
        ..finding(verdict, messages, call.timeout, answered.then_some(passed))
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

/// What a file is that is nothing to check.
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

/// A device that exists but does not open. That is the user's right to open it, or a shortage here;
/// else the daemon calls the path down.
fn not_opened(job: &Job, error: &io::Error) -> Outcome {
    let block = fs::metadata(&job.device).is_ok_and(|found| found.file_type().is_block_device());
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => Outcome::Failed(forbidden(block).to_owned()),
        Some(libc::ENOMEDIUM) if job.listed => Outcome::Skipped("no medium".to_owned()),
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

//! One device: looked up, opened and checked as multipathd does it.
//!
//! Any step may block on a dead device, whatever it promises; the caller gives this a thread of its
//! own and is told what comes next.

use crate::checkers::{Class, Instance};
use crate::facts::Facts;
use crate::outcome::{Finding, Outcome};
use crate::protocol::{Job, News, Step};
use checkers_core::{
    Call, Delivery, InitError, MapMemory, MessageTable, Mode, PathState, Seconds, Verdict, resolve,
};
use kernel_fd::{Errno, FileKind};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the daemon waits before it looks for the answer of a check that it has just started.
const FIRST_LOOK: Duration = Duration::from_millis(5);

/// Between two looks for an answer an eighth of the time that has passed goes by, within these
/// limits, so that a latency is measured to about that fraction.
const SHORTEST: Duration = Duration::from_micros(20);
const LONGEST: Duration = Duration::from_millis(50);

/// How much later than the time limit a checker may say that it has passed.
const LATE: Duration = Duration::from_millis(200);

/// Does the whole job and says what came of it.
pub(crate) fn run(job: &Job, tell: &mut dyn FnMut(News)) -> Outcome {
    let Some(class) = Class::named(&job.checker) else {
        return Outcome::Failed(format!("there is no checker {}", job.checker));
    };
    tell(News::Begins(Step::LookUp));
    match fs::metadata(&job.device).map(|found| unfit(found.file_type())) {
        Ok(None) => {}
        Ok(Some(what)) => {
            let why = format!("{what}: only block devices and image files can be checked");
            return Outcome::Failed(why);
        }
        Err(error) => return Outcome::Failed(not_found(&job.device, &error)),
    }

    tell(News::Begins(Step::Open));
    let file = match File::open(&job.device) {
        Ok(file) => file,
        Err(error) => return not_opened(job, &error),
    };
    let facts = match kernel_fd::stat(file.as_raw_fd()) {
        Ok(stat) if stat.kind == FileKind::Block => {
            Facts::block_device(Path::new("/sys"), stat.major(), stat.minor())
        }
        Ok(stat) => Facts::file(stat.size),
        Err(errno) => return Outcome::Failed(errno.to_string()),
    };
    let timeout = job.timeout.unwrap_or(facts.timeout);
    let empty = facts.size == 0;
    tell(News::Found(facts));

    tell(News::Begins(Step::Check));
    let mut call = Call {
        fd: file.as_raw_fd(),
        timeout: Seconds(timeout),
        mode: Mode::Async,
        delivery: Delivery::Pending,
        path_state: PathState::Unchecked,
        map: MapMemory::Absent,
        init_message: None,
        clock: kernel_fd::monotonic,
    };
    match (class.init)(&mut call) {
        Ok(mut checker) => {
            let mut finding = ask(checker.as_mut(), class.messages, &mut call);
            checker.free(&call);
            if empty && finding.state() == PathState::Down {
                finding.message.push_str(": its size is 0");
            }
            Outcome::Checked(finding)
        }
        Err(error) => Outcome::Failed(not_prepared(error)),
    }
}

/// Starts a check and looks for its answer until it is there.
fn ask(checker: &mut dyn Instance, messages: MessageTable, call: &mut Call) -> Finding {
    let limit = call.timeout.as_duration();
    let start = Instant::now();
    let mut verdict = checker.check(call);
    let mut passed = start.elapsed();
    while verdict.state == PathState::Pending && passed <= limit.saturating_add(LATE) {
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
    // A verdict that the limit brought about is no answer of the device's.
    let answered = verdict.state != PathState::Pending
        && (verdict.state == PathState::Up || passed <= limit.max(FIRST_LOOK));
    finding(verdict, messages, call.timeout, answered.then_some(passed))
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
    let mut finding = Finding::new(verdict.state, message);
    finding.message_id = verdict.message.map(|id| id.as_raw());
    finding.latency_us = answered.map(|passed| passed.as_micros().try_into().unwrap_or(u64::MAX));
    finding
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
        Some(_) if block => {
            let message = format!("cannot be opened: {}", reason(error));
            Outcome::Checked(Finding::new(PathState::Down, message))
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

/// Why there is no checker for a device that is open.
fn not_prepared(error: InitError) -> String {
    match error {
        InitError::Os(libc::EAGAIN) => {
            let value = |name| {
                let value = fs::read_to_string(format!("/proc/sys/fs/{name}")).unwrap_or_default();
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

//! Descriptors that are not what a checker hopes for, and the status flags it leaves on them.

use super::{Scenario, held_device};
use crate::directio::session::{Session, flag_names};
use harness::{Doing, Result};
use std::os::fd::{IntoRawFd, RawFd};
use std::path::Path;
use std::time::Duration;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::both("fd-none", "no descriptor at all", |h| refused(h, -1)),
    Scenario::both("fd-never-open", "a number that is no descriptor", |h| {
        refused(h, 777)
    }),
    Scenario::both("fd-null", "/dev/null", |h| refused_file(h, "/dev/null")),
    Scenario::both("fd-zero", "/dev/zero", |h| refused_file(h, "/dev/zero")),
    Scenario::both("fd-procfs", "a file of procfs", |h| {
        refused_file(h, "/proc/version")
    }),
    Scenario::both("fd-directory", "a directory", |h| refused_file(h, "/proc")),
    Scenario::both("fd-path", "a descriptor that only names a file", |h| {
        let fd = h.open(Path::new("/dev/null"), libc::O_PATH)?;
        refused(h, fd)
    }),
    Scenario::both("fd-socket", "a socket", |h| {
        let (one, _other) = std::os::unix::net::UnixStream::pair().doing("making a socket")?;
        refused(h, one.into_raw_fd())
    }),
    Scenario::both("fd-pipe", "a pipe with data, then at its end", pipe),
    Scenario::both(
        "fd-pipe-empty",
        "a pipe without data: submitting the read waits",
        empty_pipe,
    ),
    Scenario::both(
        "fd-closed-before-check",
        "closed between init and check",
        closed_before_check,
    ),
    Scenario::both(
        "fd-closed-before-free",
        "closed between check and free",
        closed_before_free,
    ),
    Scenario::both(
        "fd-closed-in-flight",
        "closed with a read in flight",
        closed_in_flight,
    ),
    Scenario::both(
        "fd-reused",
        "another file under the number when free comes",
        reused,
    ),
    Scenario::both(
        "direct-already",
        "O_DIRECT set before init stays after free",
        direct_already,
    ),
    Scenario::both(
        "other-flags",
        "all other status flags stay as they are",
        other_flags,
    ),
    Scenario::both(
        "one-description",
        "two instances on one open file description",
        |h| one_description(h, false),
    ),
    Scenario::both(
        "one-description-reversed",
        "the same, freed the other way round",
        |h| one_description(h, true),
    ),
    Scenario::both(
        "two-descriptions",
        "two instances on two descriptions of one file",
        two,
    ),
];

/// A descriptor on which init must fail and change nothing.
fn refused(h: &mut Session, fd: RawFd) -> Result<()> {
    let id = h.started(fd, 30)?;
    h.expect(&[("returned", "failed"), ("context", "null")]);
    h.note("flags of the descriptor", "flags", &flag_names(fd))?;
    h.check(id)?;
    h.expect(&[("returned", "unchecked"), ("msgid", "0"), ("log", "")]);
    h.free(id)?;
    h.reset()?;
    h.expect(&[("contexts", "0")]);
    Ok(())
}

fn refused_file(h: &mut Session, path: &str) -> Result<()> {
    let fd = h.open(Path::new(path), libc::O_RDONLY)?;
    refused(h, fd)
}

fn make_pipe() -> Result<[RawFd; 2]> {
    let mut ends = [0; 2];
    // SAFETY: pipe fills the array.
    harness::os(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })
        .doing("making a pipe")?;
    Ok(ends)
}

fn fill(fd: RawFd) -> Result<()> {
    let block = [1_u8; 4096];
    // SAFETY: writes from a buffer of the given size.
    let written = unsafe { libc::write(fd, block.as_ptr().cast(), block.len()) };
    harness::os(i32::try_from(written).unwrap_or(-1)).doing("filling a pipe")?;
    Ok(())
}

fn pipe(h: &mut Session) -> Result<()> {
    let [from, to] = make_pipe()?;
    let id = h.started(from, 30)?;
    fill(to)?;
    h.verdict(id)?;
    h.close(to);
    h.verdict(id)?;
    h.expect(&[("returned", "down")]);
    h.free(id)?;
    h.expect(&[("flags", "none")]);
    Ok(())
}

fn empty_pipe(h: &mut Session) -> Result<()> {
    let [from, to] = make_pipe()?;
    let id = h.started(from, 30)?;
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(2));
        fill(to)
    });
    h.check(id)?;
    h.differs("I14", "returned", "up", "pending");
    h.differs("I14", "msgid", "4", "101");
    h.differs("I14", "text", " reports path is up", " is waiting on aio");
    h.differs("I14", "took", "about 2 s", "at once");
    let log = |level: u32, line: &str| {
        format!(
            "4 directio: called for <device>\n{level} directio: starting new request\n\
             {level} directio: {line}"
        )
    };
    h.differs(
        "I14",
        "log",
        &log(3, "io finished 4096/0"),
        &log(4, "async io pending"),
    );
    let _ = writer.join();
    h.free(id)?;
    h.differs("I14", "msgid", "4", "101");
    h.differs("I14", "text", " reports path is up", " is waiting on aio");
    Ok(())
}

fn closed_before_check(h: &mut Session) -> Result<()> {
    let path = h.file_on("disk", "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 30)?;
    h.close(fd);
    for sync in [false, true, false] {
        h.sync(sync);
        h.check(id)?;
        h.expect(&[("returned", "unchecked"), ("msgid", "100")]);
        h.expect_line("directio: io_submit error 9");
    }
    h.free(id)?;
    h.expect(&[("context", "null"), ("flags", "not open")]);
    Ok(())
}

fn closed_before_free(h: &mut Session) -> Result<()> {
    let path = h.file_on("disk", "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 30)?;
    h.verdict(id)?;
    h.close(fd);
    h.free(id)?;
    h.expect(&[("context", "null"), ("flags", "not open")]);
    h.reset()
}

fn closed_in_flight(h: &mut Session) -> Result<()> {
    let (gate, fd) = held_device(h, 1)?;
    let id = h.started(fd, 3)?;
    h.check(id)?;
    h.expect(&[("returned", "pending"), ("waiting", "1")]);
    h.close(fd);
    h.check(id)?;
    h.expect(&[("returned", "pending"), ("waiting", "1")]);
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up")]);
    h.check(id)?;
    h.expect(&[("returned", "unchecked"), ("waiting", "0")]);
    h.free(id)
}

fn reused(h: &mut Session) -> Result<()> {
    let path = h.file_on("disk", "file", 1 << 20)?;
    let other = h.file_on("disk", "other", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 30)?;
    h.verdict(id)?;
    let stranger = h.open(&other, libc::O_RDONLY | libc::O_DIRECT)?;
    // SAFETY: puts another file under a number that this scenario owns.
    harness::os(unsafe { libc::dup2(stranger, fd) }).doing("reusing a descriptor")?;
    h.verdict(id)?;
    h.expect(&[("returned", "up")]);
    h.free(id)?;
    h.note("flags of the other file", "flags", &flag_names(stranger))?;
    h.expect(&[("flags", "none")]);
    Ok(())
}

fn direct_already(h: &mut Session) -> Result<()> {
    let path = h.file_on("disk", "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY | libc::O_DIRECT)?;
    let id = h.started(fd, 30)?;
    h.verdict(id)?;
    h.free(id)?;
    h.expect(&[("flags", "direct")]);
    Ok(())
}

fn other_flags(h: &mut Session) -> Result<()> {
    let path = h.file_on("disk", "file", 1 << 20)?;
    let flags = libc::O_RDWR | libc::O_APPEND | libc::O_NONBLOCK | libc::O_NOATIME;
    let fd = h.open(&path, flags)?;
    let id = h.started(fd, 30)?;
    h.expect(&[("flags", "append+nonblock+direct+noatime")]);
    h.verdict(id)?;
    h.free(id)?;
    h.expect(&[("flags", "append+nonblock+noatime")]);
    Ok(())
}

fn one_description(h: &mut Session, reversed: bool) -> Result<()> {
    let path = h.file_on("disk", "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let one = h.started(fd, 30)?;
    let other = h.started(fd, 30)?;
    h.verdict(one)?;
    h.verdict(other)?;
    let [first, last] = if reversed { [other, one] } else { [one, other] };
    h.free(first)?;
    // Only the instance that set O_DIRECT clears it, whether or not the other one is alive.
    h.expect(&[("flags", if reversed { "direct" } else { "none" })]);
    h.free(last)?;
    h.expect(&[("flags", "none")]);
    Ok(())
}

fn two(h: &mut Session) -> Result<()> {
    let path = h.file_on("disk", "file", 1 << 20)?;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let fd = h.open(&path, libc::O_RDONLY)?;
        ids.push(h.started(fd, 30)?);
    }
    for id in &ids {
        h.verdict(*id)?;
        h.expect(&[("contexts", "1")]);
    }
    for id in ids {
        h.free(id)?;
        h.expect(&[("flags", "none")]);
    }
    Ok(())
}

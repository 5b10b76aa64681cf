//! Devices and files that answer: block sizes, file systems, sizes.

use super::Scenario;
use crate::directio::session::Session;
use harness::Result;
use harness::state::State;
use std::os::fd::RawFd;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::both(
        "loop-512",
        "logical blocks of 512 bytes, read by 512",
        |h| soft_device(h, 1 << 20, 512, 512),
    ),
    Scenario::both(
        "loop-512-by-1024",
        "logical blocks of 512 bytes, read by 1024",
        |h| soft_device(h, 1 << 20, 512, 1024),
    ),
    Scenario::both(
        "loop-512-by-4096",
        "logical blocks of 512 bytes, read by 4096",
        |h| soft_device(h, 1 << 20, 512, 4096),
    ),
    Scenario::both(
        "loop-512-by-65536",
        "block sizes above 4096 count as 4096",
        |h| soft_device(h, 1 << 20, 512, 65536),
    ),
    Scenario::both("loop-1024", "logical blocks of 1024 bytes", |h| {
        soft_device(h, 1 << 20, 1024, 1024)
    }),
    Scenario::both("loop-2048", "logical blocks of 2048 bytes", |h| {
        soft_device(h, 1 << 20, 2048, 2048)
    }),
    Scenario::both("loop-4096", "logical blocks of 4096 bytes", |h| {
        soft_device(h, 1 << 20, 4096, 4096)
    }),
    Scenario::both(
        "loop-4096-by-8192",
        "the same, read by more than 4096",
        |h| soft_device(h, 1 << 20, 4096, 8192),
    ),
    Scenario::both(
        "loop-8192",
        "logical blocks of 8192 bytes: more than C reads",
        |h| large(h, 8192, 8192),
    ),
    Scenario::both(
        "loop-8192-by-4096",
        "the same, with a page cache that has not noticed",
        |h| large(h, 8192, 0),
    ),
    Scenario::both("loop-16384", "logical blocks of 16384 bytes", |h| {
        large(h, 16384, 16384)
    }),
    Scenario::both("loop-32768", "logical blocks of 32768 bytes", |h| {
        large(h, 32768, 32768)
    }),
    Scenario::both("loop-65536", "logical blocks of 65536 bytes", |h| {
        large(h, 65536, 65536)
    }),
    Scenario::both("loop-one-block", "a device of one block", |h| {
        soft_device(h, 512, 512, 512)
    }),
    Scenario::both(
        "loop-too-small",
        "a device smaller than what is read",
        |h| {
            let path = h.soft_device(1536, 512, 4096)?;
            let fd = h.open(&path, libc::O_RDONLY)?;
            checked(h, fd, State::DOWN)
        },
    ),
    Scenario::both("loop-size-0", "a device of size 0", size_0),
    Scenario::both("loop-read-only", "a read-only device", |h| {
        let path = h.loop_device(1 << 20, 512, true)?;
        let fd = h.open(&path, libc::O_RDONLY)?;
        checked(h, fd, State::UP)
    }),
    Scenario::both(
        "open-read-write",
        "a descriptor opened for reading and writing",
        |h| {
            let path = h.loop_device(1 << 20, 512, false)?;
            let fd = h.open(&path, libc::O_RDWR)?;
            checked(h, fd, State::UP)
        },
    ),
    Scenario::both(
        "open-write-only",
        "a descriptor that cannot be read",
        write_only,
    ),
    Scenario::both("file-disk", "a file on the machine's disk", |h| {
        file(h, "disk", true)
    }),
    Scenario::both("file-ext4", "a file on ext4", |h| file(h, "ext4", true)),
    Scenario::both("file-xfs", "a file on xfs", |h| file(h, "xfs", true)),
    Scenario::both(
        "file-tmpfs",
        "a file on tmpfs, which has O_DIRECT since 6.6",
        file_tmpfs,
    ),
    Scenario::both(
        "file-ramfs",
        "a file on ramfs, which has no O_DIRECT",
        |h| file(h, "ramfs", false),
    ),
    Scenario::both("file-empty", "an empty file", |h| {
        sized_file(h, 0, State::DOWN)
    }),
    Scenario::both("file-short", "a file shorter than a block", |h| {
        sized_file(h, 100, State::DOWN)
    }),
    Scenario::both(
        "file-odd",
        "a file whose size is no multiple of a block",
        |h| sized_file(h, 5000, State::UP),
    ),
    Scenario::both("many-checks", "a hundred checks in a row", many_checks),
];

/// Checks a descriptor asynchronously and synchronously, twice each.
fn checked(h: &mut Session, fd: RawFd, state: State) -> Result<()> {
    let id = h.started(fd, 30)?;
    h.expect(&[("returned", "ok"), ("flags", "direct"), ("context", "set")]);
    for sync in [false, false, true, true, false] {
        h.sync(sync);
        h.verdict(id)?;
        h.expect(&[("returned", &state.to_string()), ("flags", "direct")]);
    }
    h.free(id)?;
    h.expect(&[("flags", "none"), ("context", "null"), ("contexts", "1")]);
    Ok(())
}

/// A device that is read by `soft` bytes, or by 4096 where that is more.
fn soft_device(h: &mut Session, bytes: u64, block: u32, soft: u32) -> Result<()> {
    let path = h.soft_device(bytes, block, soft)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 30)?;
    h.expect(&[("returned", "ok"), ("msgid", "0"), ("flags", "direct")]);
    for sync in [false, true, false] {
        h.sync(sync);
        h.verdict(id)?;
        h.expect(&[("returned", "up"), ("msgid", "4"), ("flags", "direct")]);
        h.expect_line(&format!("directio: io finished {}/0", soft.min(4096)));
    }
    h.free(id)?;
    h.expect(&[("flags", "none"), ("context", "null"), ("contexts", "1")]);
    Ok(())
}

/// A logical block larger than the 4096 bytes to which C limits its read: the kernel refuses the
/// read, and C takes a healthy device for a dead one.
fn large(h: &mut Session, block: u32, soft: u32) -> Result<()> {
    let path = h.soft_device(1 << 20, block, soft)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 30)?;
    for sync in [false, true] {
        h.sync(sync);
        h.verdict(id)?;
        h.differs("L5", "returned", "down", "up");
        h.differs("L5", "msgid", "5", "4");
        h.differs("L5", "text", " reports path is down", " reports path is up");
        let mode = if sync {
            "4 directio: called in synchronous mode\n"
        } else {
            ""
        };
        let log = |level: u32, result: &str| {
            format!(
                "4 directio: called for <device>\n{mode}{level} directio: starting new request\n\
                 {level} directio: io finished {result}/0"
            )
        };
        // The event's result is -EINVAL, printed as an unsigned long.
        let c = log(3, &(-22_i64 as u64).to_string());
        h.differs("L5", "log", &c, &log(4, &block.to_string()));
    }
    h.free(id)?;
    // free leaves the last message where it is.
    h.differs("L5", "msgid", "5", "4");
    h.differs("L5", "text", " reports path is down", " reports path is up");
    Ok(())
}

fn size_0(h: &mut Session) -> Result<()> {
    let path = h.loop_device(0, 512, false)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    checked(h, fd, State::DOWN)
}

fn write_only(h: &mut Session) -> Result<()> {
    let path = h.loop_device(1 << 20, 512, false)?;
    let fd = h.open(&path, libc::O_WRONLY)?;
    let id = h.started(fd, 30)?;
    for sync in [false, true] {
        h.sync(sync);
        h.check(id)?;
        h.expect(&[("returned", "unchecked"), ("msgid", "100")]);
        let mode = if sync {
            "4 directio: called in synchronous mode\n"
        } else {
            ""
        };
        let log = |level: u32, number: i32| {
            format!(
                "4 directio: called for <device>\n{mode}{level} directio: starting new request\n\
                 3 directio: io_submit error {number}"
            )
        };
        h.differs("I1", "log", &log(3, 0), &log(4, libc::EBADF));
    }
    h.free(id)?;
    h.expect(&[("flags", "none")]);
    Ok(())
}

fn file(h: &mut Session, kind: &str, direct: bool) -> Result<()> {
    let path = h.file_on(kind, "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    if direct {
        return checked(h, fd, State::UP);
    }
    let id = h.started(fd, 30)?;
    h.expect(&[
        ("returned", "failed"),
        ("context", "null"),
        ("flags", "none"),
    ]);
    h.check(id)?;
    h.expect(&[("returned", "unchecked"), ("msgid", "0")]);
    Ok(())
}

fn file_tmpfs(h: &mut Session) -> Result<()> {
    let path = h.file_on("tmpfs", "file", 1 << 20)?;
    let direct = h.open(&path, libc::O_RDONLY | libc::O_DIRECT);
    file(h, "tmpfs", direct.is_ok())
}

fn sized_file(h: &mut Session, bytes: u64, state: State) -> Result<()> {
    let path = h.file_on("disk", "file", bytes)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    checked(h, fd, state)
}

fn many_checks(h: &mut Session) -> Result<()> {
    let path = h.loop_device(1 << 20, 512, false)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let id = h.started(fd, 30)?;
    h.sync(true);
    h.bulk("100 checks", |h| {
        for _ in 0..100 {
            h.check(id)?;
        }
        Ok(())
    })?;
    h.expect(&[("results", "100 × check → up")]);
    h.free(id)
}

//! System calls that fail: no AIO contexts left, no request taken, no event given.

use super::{Scenario, held_device, held_device_instance};
use crate::directio::session::Session;
use harness::faults::Syscall;
use harness::{Doing, Result, Trouble};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::both("setup-eagain", "io_setup fails with EAGAIN", |h| {
        setup_fails(h, libc::EAGAIN)
    }),
    Scenario::both("setup-enomem", "io_setup fails with ENOMEM", |h| {
        setup_fails(h, libc::ENOMEM)
    }),
    Scenario::both("setup-enosys", "io_setup fails with ENOSYS", |h| {
        setup_fails(h, libc::ENOSYS)
    }),
    Scenario::both("aio-max-nr", "fs.aio-max-nr is exhausted", aio_max_nr).exclusive(),
    Scenario::both(
        "submit-fails",
        "io_submit fails, then works again",
        submit_fails,
    ),
    Scenario::both(
        "submit-takes-nothing",
        "io_submit takes no request",
        submit_takes_nothing,
    ),
    Scenario::both(
        "getevents-fails",
        "io_getevents fails in a synchronous check",
        getevents_fails,
    ),
    Scenario::both(
        "getevents-interrupted",
        "signals end every io_getevents of a synchronous check",
        getevents_interrupted,
    ),
    Scenario::both(
        "cancel-succeeds",
        "io_cancel says it succeeded",
        cancel_succeeds,
    ),
    Scenario::both(
        "cancel-free",
        "io_cancel says it succeeded in free",
        cancel_free,
    ),
    Scenario::both(
        "cancel-in-progress",
        "io_cancel says it is in progress",
        cancel_in_progress,
    ),
    Scenario::both(
        "call-counts",
        "contexts and requests, by the system calls made",
        call_counts,
    ),
];

const HINT: &str =
    "1 directio: global number of io events too small. Increase fs.aio-max-nr with sysctl";
const SETUP_FAILED: &str = "1 directio: io_setup failed";

fn setup_fails(h: &mut Session, errno: i32) -> Result<()> {
    let path = h.file_on("disk", "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let faults = h.faults()?;
    faults.fail(Syscall::Setup, -errno);
    for _ in 0..2 {
        h.started(fd, 30)?;
        h.expect(&[
            ("returned", "failed"),
            ("context", "null"),
            ("contexts", "0"),
        ]);
        if errno == libc::EAGAIN {
            // C looks for the reason in errno, where libaio does not leave it.
            h.differs(
                "I1",
                "log",
                SETUP_FAILED,
                &format!("{SETUP_FAILED}\n{HINT}"),
            );
        } else {
            h.expect(&[("log", SETUP_FAILED)]);
        }
    }
    faults.allow(Syscall::Setup);
    let id = h.started(fd, 30)?;
    h.expect(&[("returned", "ok"), ("contexts", "1")]);
    h.verdict(id)?;
    h.expect(&[("returned", "up")]);
    h.free(id)
}

const LIMIT: &str = "/proc/sys/fs/aio-max-nr";

/// Restores the machine's limit when the scenario is over, also when it fails.
struct Limit(String);

impl Limit {
    fn lower() -> Result<Limit> {
        let before = std::fs::read_to_string(LIMIT).doing(LIMIT)?;
        let limit = Limit(before.trim().to_owned());
        std::fs::write(LIMIT, "1")
            .map_err(|error| Trouble::NotHere(format!("{LIMIT}: {error}")))?;
        Ok(limit)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        if let Err(error) = std::fs::write(LIMIT, &self.0) {
            eprintln!("{LIMIT} must be set to {} by hand: {error}", self.0);
        }
    }
}

fn aio_max_nr(h: &mut Session) -> Result<()> {
    let path = h.file_on("disk", "file", 1 << 20)?;
    let fd = h.open(&path, libc::O_RDONLY)?;
    let limit = Limit::lower()?;
    h.started(fd, 30)?;
    h.expect(&[
        ("returned", "failed"),
        ("context", "null"),
        ("contexts", "0"),
    ]);
    h.differs(
        "I1",
        "log",
        SETUP_FAILED,
        &format!("{SETUP_FAILED}\n{HINT}"),
    );
    drop(limit);
    let id = h.started(fd, 30)?;
    h.expect(&[("returned", "ok"), ("contexts", "1")]);
    let limit = Limit::lower()?;
    // What is there goes on working, and has room for more instances.
    h.verdict(id)?;
    h.expect(&[("returned", "up")]);
    let other = h.started(fd, 30)?;
    h.expect(&[("returned", "ok"), ("contexts", "1")]);
    drop(limit);
    h.free(other)?;
    h.free(id)
}

fn submit_fails(h: &mut Session) -> Result<()> {
    let (gate, fd) = held_device(h, 1)?;
    let id = h.started(fd, 3)?;
    let faults = h.faults()?;
    for errno in [libc::EAGAIN, libc::EINVAL, libc::ENOMEM, libc::EIO] {
        faults.fail(Syscall::Submit, -errno);
        for sync in [false, true] {
            h.sync(sync);
            h.check(id)?;
            h.expect(&[
                ("returned", "unchecked"),
                ("msgid", "100"),
                ("waiting", "0"),
            ]);
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
            // C prints errno, which libaio does not set.
            h.differs("I1", "log", &log(3, 0), &log(4, errno));
        }
    }
    faults.allow(Syscall::Submit);
    h.sync(false);
    h.check(id)?;
    h.expect(&[("returned", "pending"), ("waiting", "1")]);
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up")]);
    faults.fail(Syscall::Submit, -libc::EAGAIN);
    h.check(id)?;
    h.expect(&[("returned", "unchecked")]);
    let log = |level: u32, number: i32| {
        format!(
            "4 directio: called for <device>\n{level} directio: starting new request\n\
             3 directio: io_submit error {number}"
        )
    };
    h.differs("I1", "log", &log(3, 0), &log(4, libc::EAGAIN));
    // Nothing is in flight: free leaves no orphan.
    h.free(id)?;
    h.reset()?;
    h.expect(&[("contexts", "0"), ("took", "at once")]);
    Ok(())
}

fn submit_takes_nothing(h: &mut Session) -> Result<()> {
    let (_gate, fd) = held_device(h, 1)?;
    let id = h.started(fd, 3)?;
    let faults = h.faults()?;
    faults.fail(Syscall::Submit, 0);
    h.check(id)?;
    h.expect(&[("returned", "unchecked"), ("msgid", "100")]);
    h.expect_line("directio: io_submit error 0");
    faults.allow(Syscall::Submit);
    h.check(id)?;
    h.expect(&[("returned", "pending"), ("waiting", "1")]);
    h.free(id)
}

fn getevents_fails(h: &mut Session) -> Result<()> {
    let (gate, id) = held_device_instance(h, 1, 5)?;
    let faults = h.faults()?;
    h.sync(true);
    faults.fail(Syscall::GetEvents, -libc::EINVAL);
    h.check(id)?;
    h.expect(&[("returned", "down"), ("took", "at once"), ("waiting", "1")]);
    let log = |level: u32, line: &str| {
        format!(
            "4 directio: called for <device>\n4 directio: called in synchronous mode\n\
             {level} directio: starting new request\n\
             {level} directio: async io getevents returned {line}\n\
             3 directio: abort check on timeout"
        )
    };
    h.differs(
        "I1",
        "log",
        &log(3, "-22 (errno=Success)"),
        &log(4, "Invalid argument"),
    );
    faults.allow(Syscall::GetEvents);
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up")]);
    h.free(id)
}

fn getevents_interrupted(h: &mut Session) -> Result<()> {
    let (gate, id) = held_device_instance(h, 1, 1)?;
    let faults = h.faults()?;
    h.sync(true);
    faults.fail(Syscall::GetEvents, -libc::EINTR);
    h.check(id)?;
    h.expect(&[("returned", "down"), ("waiting", "1")]);
    h.differs("I4", "took", "at once", "about 1 s");
    let begin = |level: u32| {
        format!(
            "4 directio: called for <device>\n4 directio: called in synchronous mode\n\
             {level} directio: starting new request\n"
        )
    };
    let aborted = "3 directio: abort check on timeout";
    let c = format!(
        "{}3 directio: async io getevents returned -4 (errno=Success)\n{aborted}",
        begin(3)
    );
    h.differs("I4", "log", &c, &format!("{}{aborted}", begin(4)));
    // Waiting on must not mean to spin: one call in a millisecond at most.
    let calls = match faults.count(Syscall::GetEvents) {
        0..1500 => "few",
        _ => "many",
    };
    h.note("waits that were interrupted", "io_getevents calls", calls)?;
    h.expect(&[("io_getevents calls", "few")]);
    faults.allow(Syscall::GetEvents);
    h.sync(false);
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up")]);
    h.free(id)
}

/// Believing `io_cancel`, C takes the request for gone, and submits a second read into the same
/// buffer while the first one is in flight.
fn cancel_succeeds(h: &mut Session) -> Result<()> {
    let (gate, id) = held_device_instance(h, 1, 1)?;
    let faults = h.faults()?;
    faults.fail(Syscall::Cancel, 0);
    h.check(id)?;
    h.expect(&[("returned", "pending"), ("waiting", "1")]);
    h.check(id)?;
    h.expect(&[("returned", "down"), ("waiting", "1")]);
    h.check(id)?;
    h.differs("I2", "returned", "pending", "down");
    h.differs("I2", "msgid", "101", "5");
    h.differs("I2", "text", " is waiting on aio", " reports path is down");
    h.differs("I2", "waiting", "2", "1");
    h.differs("I2", "io_submit calls", "2", "1");
    let called = "4 directio: called for <device>";
    h.differs(
        "I2",
        "log",
        &format!("{called}\n3 directio: starting new request\n3 directio: async io pending"),
        &format!("{called}\n3 directio: abort check on timeout"),
    );
    if h.c_ends("two events will arrive for one request")? {
        return Ok(());
    }
    faults.allow(Syscall::Cancel);
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up"), ("waiting", "0")]);
    h.free(id)
}

/// Believing `io_cancel`, C frees the buffer that the kernel will write to.
fn cancel_free(h: &mut Session) -> Result<()> {
    let (gate, id) = held_device_instance(h, 1, 5)?;
    h.check(id)?;
    let faults = h.faults()?;
    faults.fail(Syscall::Cancel, 0);
    h.free(id)?;
    h.expect(&[("context", "null"), ("flags", "none"), ("waiting", "1")]);
    if h.c_ends("the kernel will write to freed memory")? {
        return Ok(());
    }
    let (other, neighbour) = held_device_instance(h, 2, 5)?;
    h.check(neighbour)?;
    h.answer(gate, 1, "data")?;
    h.check(neighbour)?;
    h.expect(&[("returned", "pending")]);
    h.expect_line("directio: io finished 4096/0");
    h.answer(other, 1, "data")?;
    h.check(neighbour)?;
    h.free(neighbour)?;
    h.reset()?;
    h.expect(&[("contexts", "0")]);
    Ok(())
}

fn cancel_in_progress(h: &mut Session) -> Result<()> {
    let (gate, id) = held_device_instance(h, 1, 1)?;
    let faults = h.faults()?;
    faults.fail(Syscall::Cancel, -libc::EINPROGRESS);
    for state in ["pending", "down", "down"] {
        h.check(id)?;
        h.expect(&[("returned", state), ("waiting", "1")]);
    }
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up")]);
    h.free(id)
}

fn call_counts(h: &mut Session) -> Result<()> {
    let faults = h.faults()?;
    let (gate, id) = held_device_instance(h, 1, 1)?;
    h.expect(&[("io_setup calls", "1"), ("io_submit calls", "0")]);
    for _ in 0..4 {
        h.check(id)?;
        h.expect(&[("io_submit calls", "1")]);
    }
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.expect(&[("returned", "up"), ("io_submit calls", "1")]);
    h.check(id)?;
    h.expect(&[("returned", "pending"), ("io_submit calls", "2")]);
    h.answer(gate, 1, "data")?;
    h.check(id)?;
    h.free(id)?;
    h.expect(&[("io_destroy calls", "0")]);
    h.reset()?;
    h.expect(&[
        ("io_setup calls", "1"),
        ("io_destroy calls", "1"),
        ("contexts", "0"),
    ]);
    drop(faults);
    Ok(())
}

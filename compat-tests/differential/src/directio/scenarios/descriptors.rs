// SPDX-License-Identifier: LGPL-2.0-or-later

//! Unusual descriptors, and the status flags that the checker leaves on them.

use super::prelude::*;

pub(super) const SCENARIOS: &[Scenario] = scenarios! {
    Both "fd-none" "no descriptor at all" => |d| refused(d, -1);
    Both "fd-never-open" "a number that is no descriptor" => |d| refused(d, 777);
    Both "fd-null" "/dev/null" => |d| refused_file(d, "/dev/null");
    Both "fd-zero" "/dev/zero" => |d| refused_file(d, "/dev/zero");
    Both "fd-procfs" "a file of procfs" => |d| refused_file(d, "/proc/version");
    Both "fd-directory" "a directory" => |d| refused_file(d, "/proc");
    Both "fd-path" "a descriptor that only names a file" => |d| { let fd = d.open(Path::new("/dev/null"), libc::O_PATH)?; refused(d, fd) };
    Both "fd-socket" "a socket" => |d| { let (one, _other) = std::os::unix::net::UnixStream::pair().doing("making a socket")?; refused(d, one.into_raw_fd()) };
    Both "fd-pipe" "a pipe with data, then at its end" => pipe;
    Both "fd-pipe-empty" "a pipe without data: submitting the read waits" => empty_pipe;
    Both "fd-closed-before-check" "closed between init and check" => closed_before_check;
    Both "fd-closed-before-free" "closed between check and free" => closed_before_free;
    Both "fd-closed-in-flight" "closed with a read in flight" => closed_in_flight;
    Both "fd-reused" "another file under the number when free comes" => reused;
    Both "direct-already" "O_DIRECT set before init stays after free" => direct_already;
    Both "other-flags" "all other status flags stay as they are" => other_flags;
    Both "one-description" "two instances on one open file description" => |d| one_description(d, false);
    Both "one-description-reversed" "the same, freed the other way round" => |d| one_description(d, true);
    Both "two-descriptions" "two instances on two descriptions of one file" => two;
};

/// A descriptor on which init must fail and change nothing.
fn refused(d: &mut Driver, fd: RawFd) -> Result<()> {
    let (id, seen) = d.init(fd, 30)?;
    seen.returned(Returned::Failed).context(false);
    d.note("flags of the descriptor", flags_of(fd))?;
    d.check(id)?.refused().logged(Log::default());
    d.free(id)?;
    d.reset()?.contexts(0);
    Ok(())
}

fn refused_file(d: &mut Driver, path: &str) -> Result<()> {
    let fd = d.open(Path::new(path), libc::O_RDONLY)?;
    refused(d, fd)
}

fn make_pipe() -> Result<[RawFd; 2]> {
    let (from, to) = pipe2(OFlag::O_CLOEXEC).doing("making a pipe")?;
    Ok([from.into_raw_fd(), to.into_raw_fd()])
}

fn fill(fd: RawFd) -> Result<()> {
    let mut to = File::options()
        .write(true)
        .open(format!("/proc/self/fd/{fd}"))
        .doing("opening a pipe again")?;
    to.write_all(&[1_u8; 4096]).doing("filling a pipe")
}

fn pipe(d: &mut Driver) -> Result<()> {
    let [from, to] = make_pipe()?;
    let id = d.started(from, 30)?;
    fill(to)?;
    d.verdict(id)?;
    d.close(to);
    d.verdict(id)?.is(DOWN);
    d.free(id)?.flags(0);
    Ok(())
}

fn empty_pipe(d: &mut Driver) -> Result<()> {
    let [from, to] = make_pipe()?;
    let id = d.started(from, 30)?;
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(2));
        fill(to)
    });
    let log = |level| Log::called().starts(level);
    let ours = log(4).line(4, "directio: async io pending");
    d.check(id)?
        .differs_in_state("I14", UP, PENDING)
        .differs_in_time("I14", 2, 0)
        .differs_in_log("I14", log(3).finishes(3, 4096), ours);
    let _ = writer.join();
    d.free(id)?.differs_in_message("I14", UP, PENDING);
    Ok(())
}

fn closed_before_check(d: &mut Driver) -> Result<()> {
    let fd = d.open_file()?;
    let id = d.started(fd, 30)?;
    d.close(fd);
    for sync in [false, true, false] {
        d.sync(sync);
        d.check(id)?
            .not_available()
            .line("directio: io_submit error 9");
    }
    d.free(id)?
        .context(false)
        .has(Observation::Flags(Flags(None)));
    Ok(())
}

fn closed_before_free(d: &mut Driver) -> Result<()> {
    let fd = d.open_file()?;
    let id = d.started(fd, 30)?;
    d.verdict(id)?;
    d.close(fd);
    d.free(id)?
        .context(false)
        .has(Observation::Flags(Flags(None)));
    d.reset().map(drop)
}

fn closed_in_flight(d: &mut Driver) -> Result<()> {
    let (gate, fd) = held_device(d, 1)?;
    let id = d.started(fd, 3)?;
    d.check(id)?.is(PENDING).in_flight(1);
    d.close(fd);
    d.check(id)?.is(PENDING).in_flight(1);
    d.answer(gate, 1, DATA)?;
    d.check(id)?.is(UP);
    d.check(id)?.is(State::UNCHECKED).in_flight(0);
    d.free(id).map(drop)
}

fn reused(d: &mut Driver) -> Result<()> {
    let path = d.file_on(FileSystem::Disk, "file", 1 << 20)?;
    let other = d.file_on(FileSystem::Disk, "other", 1 << 20)?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    let id = d.started(fd, 30)?;
    d.verdict(id)?;
    let other_fd = d.open(&other, libc::O_RDONLY | libc::O_DIRECT)?;
    d.replace(fd, other_fd)?;
    d.verdict(id)?.is(UP);
    d.free(id)?;
    d.note("flags of the other file", flags_of(other_fd))?
        .flags(0);
    Ok(())
}

fn direct_already(d: &mut Driver) -> Result<()> {
    let path = d.file_on(FileSystem::Disk, "file", 1 << 20)?;
    let fd = d.open(&path, libc::O_RDONLY | libc::O_DIRECT)?;
    let id = d.started(fd, 30)?;
    d.verdict(id)?;
    d.free(id)?.flags(libc::O_DIRECT);
    Ok(())
}

fn other_flags(d: &mut Driver) -> Result<()> {
    let path = d.file_on(FileSystem::Disk, "file", 1 << 20)?;
    let flags = libc::O_RDWR | libc::O_APPEND | libc::O_NONBLOCK | libc::O_NOATIME;
    let fd = d.open(&path, flags)?;
    let (id, seen) = d.init(fd, 30)?;
    seen.flags(libc::O_APPEND | libc::O_NONBLOCK | libc::O_DIRECT | libc::O_NOATIME);
    d.verdict(id)?;
    d.free(id)?
        .flags(libc::O_APPEND | libc::O_NONBLOCK | libc::O_NOATIME);
    Ok(())
}

fn one_description(d: &mut Driver, reversed: bool) -> Result<()> {
    let fd = d.open_file()?;
    let one = d.started(fd, 30)?;
    let other = d.started(fd, 30)?;
    d.verdict(one)?;
    d.verdict(other)?;
    let [first, last] = if reversed { [other, one] } else { [one, other] };
    d.free(first)?
        // Only the instance that set O_DIRECT clears it, whether or not the other one is alive.
        .flags(if reversed { libc::O_DIRECT } else { 0 });
    d.free(last)?.flags(0);
    Ok(())
}

fn two(d: &mut Driver) -> Result<()> {
    let path = d.file_on(FileSystem::Disk, "file", 1 << 20)?;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let fd = d.open(&path, libc::O_RDONLY)?;
        ids.push(d.started(fd, 30)?);
    }
    for id in &ids {
        d.verdict(*id)?.contexts(1);
    }
    for id in ids {
        d.free(id)?.flags(0);
    }
    Ok(())
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The driver's devices and files. The runner makes them, so that a plugin which crashes or hangs
//! takes none of them with it.
#![deny(unsafe_code)]

use super::driver::Driver;
use super::handles::{Event, Gate};
use super::observation::{Flags, Observation};
use harness::aio_faults::{Faults, Syscall};
use harness::devices::hanging::Answer;
use harness::devices::loops::Shape;
use harness::devices::request::{FileSystem, Reply, Request};
use harness::{Doing, Result, Trouble, aio_rings, threads};
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use std::os::fd::{BorrowedFd, IntoRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A read that ends with what was asked for.
pub(crate) const DATA: Answer = Answer::Data;
/// A read that fails.
pub(crate) const EIO: Answer = Answer::Error(libc::EIO);

/// The descriptor, which need not be open.
#[expect(
    unsafe_code,
    reason = "descriptors that are closed are what some scenarios are about"
)]
fn borrow(fd: RawFd) -> Option<BorrowedFd<'static>> {
    // SAFETY: not -1. A descriptor that is not open is an error of each call that gets it.
    (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
}

/// The file status flags of a descriptor that can be changed.
pub(crate) fn flags_of(fd: RawFd) -> Observation {
    const CHANGEABLE: i32 =
        libc::O_APPEND | libc::O_NONBLOCK | libc::O_DIRECT | libc::O_NOATIME | libc::O_ASYNC;
    let flags = borrow(fd).and_then(|fd| fcntl(fd, FcntlArg::F_GETFL).ok());
    Observation::Flags(Flags(flags.map(|flags| flags & CHANGEABLE)))
}

impl Driver {
    fn ask_path(&mut self, request: Request) -> Result<PathBuf> {
        match self.ask(request)? {
            Reply::Path(path) => Ok(path),
            other => Err(Trouble::Broken(format!("{other:?} is no path"))),
        }
    }

    fn ask_count(&mut self, request: Request) -> Result<u64> {
        match self.ask(request)? {
            Reply::Count(count) => Ok(count),
            other => Err(Trouble::Broken(format!("{other:?} is no number"))),
        }
    }

    /// A loop device over a file of zeros.
    pub(crate) fn loop_device(&mut self, bytes: u64, shape: Shape) -> Result<PathBuf> {
        self.ask_path(Request::Loop { bytes, shape })
    }

    /// A descriptor of a loop device of 1 MiB with blocks of 512 bytes.
    pub(crate) fn open_loop_device(&mut self, flags: i32) -> Result<RawFd> {
        let path = self.loop_device(1 << 20, Shape::new(512))?;
        self.open(&path, flags)
    }

    /// A new file of zeros on such a file system.
    pub(crate) fn file_on(&mut self, kind: FileSystem, name: &str, bytes: u64) -> Result<PathBuf> {
        let path = self.ask_path(Request::FileSystem(kind))?.join(name);
        let file = std::fs::File::create(&path).doing("making a file")?;
        file.set_len(bytes).doing("sizing a file")?;
        Ok(path)
    }

    /// A descriptor of a file of 1 MiB on the disk.
    pub(crate) fn open_file(&mut self) -> Result<RawFd> {
        let path = self.file_on(FileSystem::Disk, "file", 1 << 20)?;
        self.open(&path, libc::O_RDONLY)
    }

    /// A file that can hang.
    pub(crate) fn gate(&mut self, number: u64) -> Result<(Gate, PathBuf)> {
        let path = self.ask_path(Request::HangingFile(number))?;
        self.has_gates = true;
        Ok((Gate(number), path))
    }

    /// A block device that can hang. Other programs see it as well and may read it, which
    /// [`Driver::end`] notices by comparing the reads with this process's submissions.
    pub(crate) fn gate_device(&mut self, number: u64, block: u32) -> Result<(Gate, PathBuf)> {
        let file = number;
        let path = self.ask_path(Request::HangingLoop { file, block })?;
        self.has_gates = true;
        self.install_faults()?;
        let gate = Gate(number);
        let before = self.reads(gate)?;
        self.gate_devices.push((gate, before));
        Ok((gate, path))
    }

    /// How many reads of the gate's file there have been.
    fn reads(&mut self, gate: Gate) -> Result<u64> {
        self.ask_count(Request::Started(gate.0))
    }

    /// How many reads this process has submitted, and how many have come out of the scenario's
    /// block devices.
    fn submitted_and_arrived(&mut self) -> Result<(u64, u64)> {
        let mut arrived = 0;
        for (gate, before) in self.gate_devices.clone() {
            arrived += self.reads(gate)? - before;
        }
        let faults = self.faults.as_ref();
        let submitted = faults.map_or(0, |faults| faults.count(Syscall::Submit));
        Ok((submitted, arrived))
    }

    /// Whether another program has read one of the scenario's block devices.
    pub(super) fn is_disturbed(&mut self) -> Result<bool> {
        let (submitted, arrived) = self.submitted_and_arrived()?;
        Ok(!self.gate_devices.is_empty() && arrived > submitted)
    }

    /// Waits until what was submitted has gone through the block layer, for a second at most: a
    /// read that the kernel refused never arrives.
    fn await_arrival(&mut self) -> Result<()> {
        for _ in 0..200 {
            let (submitted, arrived) = self.submitted_and_arrived()?;
            if arrived >= submitted {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// From now on reads of the gate's file hang.
    pub(crate) fn hold(&mut self, gate: Gate) -> Result<()> {
        self.ask(Request::Hold(gate.0)).map(drop)
    }

    /// From now on reads of the gate's file that do not hang fail; with `None` they succeed.
    pub(crate) fn fail_reads(&mut self, gate: Gate, errno: Option<i32>) -> Result<()> {
        let file = gate.0;
        self.ask(Request::Fail { file, errno }).map(drop)
    }

    /// Ends the oldest `count` reads that hang at the gate and waits until their completions have
    /// reached this process.
    pub(crate) fn answer(&mut self, gate: Gate, count: u64, how: Answer) -> Result<()> {
        // Submissions by workers have arrived before.
        self.in_flight()?;
        let before = aio_rings::inspect()?.unread;
        let file = gate.0;
        let answered = self.ask_count(Request::Answer { file, count, how })?;
        if answered != count {
            return Err(Trouble::Broken(format!(
                "{answered} reads hung at gate {file} where {count} should"
            )));
        }
        aio_rings::await_unread(before + count)
    }

    /// Ends all reads that hang at the gate, lets later ones pass, and waits until the completions
    /// have reached this process.
    pub(crate) fn let_go(&mut self, gate: Gate, how: Answer) -> Result<()> {
        self.in_flight()?;
        let before = aio_rings::inspect()?.unread;
        let count = self.ask_count(Request::LetGo { file: gate.0, how })?;
        aio_rings::await_unread(before + count)
    }

    /// As [`Driver::let_go`], for reads whose completions are not seen to arrive: their AIO context
    /// is being destroyed, or a thread waits for them.
    pub(crate) fn let_go_unseen(&mut self, gate: Gate, how: Answer) -> Result<()> {
        self.in_flight()?;
        self.ask(Request::LetGo { file: gate.0, how }).map(drop)
    }

    /// Lets the gate's reads go so many seconds after the next call has begun.
    pub(crate) fn let_go_later(&mut self, seconds: u64, gate: Gate, how: Answer) {
        let after = Duration::from_secs(seconds);
        self.armed.push(Event::LetGo(after, gate, how));
    }

    /// How many reads the kernel has not answered.
    pub(crate) fn in_flight(&mut self) -> Result<u64> {
        if !self.has_gates {
            return Ok(0);
        }
        // Our plugin may have left it to a worker to submit a read.
        threads::rest()?;
        if !self.gate_devices.is_empty() {
            self.await_arrival()?;
        }
        self.ask_count(Request::InFlight)
    }

    /// Records as a step of its own how many reads of the gate's file there have been.
    pub(crate) fn note_reads(&mut self, gate: Gate, expected: u64) -> Result<()> {
        let reads = Observation::Reads(self.reads(gate)?);
        let label = format!("reads of file {} so far", gate.0);
        self.note(&label, reads)?.has(Observation::Reads(expected));
        Ok(())
    }

    /// Opens a file; the descriptor stays open until the process ends or [`Driver::close`].
    pub(crate) fn open(&mut self, path: &Path, flags: i32) -> Result<RawFd> {
        let flags = OFlag::from_bits_retain(flags) | OFlag::O_CLOEXEC;
        let fd = open(path, flags, Mode::empty());
        Ok(fd
            .doing(&format!("opening {}", path.display()))?
            .into_raw_fd())
    }

    /// Puts another file under a descriptor that the scenario has opened.
    #[expect(unsafe_code, reason = "the descriptor's owner is the scenario")]
    pub(crate) fn replace(&mut self, fd: RawFd, other: RawFd) -> Result<()> {
        // SAFETY: closes a file of the scenario, which uses the descriptor as a number.
        harness::os(unsafe { libc::dup2(other, fd) }).doing("reusing a descriptor")?;
        Ok(())
    }

    /// Closes a descriptor.
    pub(crate) fn close(&mut self, fd: RawFd) {
        // Closing one twice is an error without effect: this process opens nothing in between.
        let _ = nix::unistd::close(fd);
    }

    /// Watches this thread's AIO calls from now on and lets them fail on command.
    pub(crate) fn faults(&mut self) -> Result<Faults> {
        self.counts_calls = true;
        self.install_faults()
    }

    fn install_faults(&mut self) -> Result<Faults> {
        let faults = match self.faults.take() {
            Some(faults) => faults,
            None => Faults::install()?,
        };
        Ok(self.faults.insert(faults).clone())
    }
}

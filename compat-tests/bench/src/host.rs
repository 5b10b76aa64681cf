// SPDX-License-Identifier: LGPL-2.0-or-later

//! The host process: it reads requests from its standard input and writes a reply to each.

use crate::lower_bound::BareReads;
use crate::paths::Paths;
use crate::protocol::{Called, FAKE_SCSI, Function, Lap, Pace, Request, Round, Usage};
use crate::stopwatch::Stopwatch;
use crate::{rounds, threads, usage};
use harness::abi::Abi;
use harness::interpose::files::ioctl;
use harness::ipc::Channel;
use harness::plugin::Plugin;
use harness::scsi::{self, Behaviour, Device};
use harness::state::State;
use harness::{Doing, Result, Trouble};
use serde::Serialize;
use serde_json::Value;
use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// What is measured.
enum Subject {
    Nothing,
    Plugin(Box<Paths>),
    BareReads(BareReads),
    /// The `ioctl` of these devices, called in a row.
    BareCommands(Vec<OwnedFd>),
}

struct Host {
    abi: Abi,
    /// Loaded, and without paths yet.
    plugin: Option<Plugin>,
    subject: Subject,
    /// Files opened and not yet used.
    files: Vec<OwnedFd>,
    /// The fake SCSI devices, by path.
    devices: Vec<Device>,
    /// Marks the paths whose verdicts a round waits for.
    awaited: Vec<bool>,
    open: Vec<usize>,
    watch: Stopwatch,
}

/// Serves requests until the standard input ends.
pub fn main(abi: Abi) -> ExitCode {
    usage::raise_descriptor_limit();
    harness::host::set_sync(false);
    harness::host::set_verbosity(2);
    let served = Stopwatch::new().and_then(|watch| {
        let mut host = Host {
            watch,
            abi,
            plugin: None,
            subject: Subject::Nothing,
            files: Vec::new(),
            devices: Vec::new(),
            awaited: Vec::new(),
            open: Vec::new(),
        };
        let mut channel = Channel::of_host()?;
        while let Some(request) = channel.receive().doing("reading a request")? {
            channel.send(&host.serve(request)).doing("replying")?;
        }
        Ok(())
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("host: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn value(reply: impl Serialize) -> Result<Value> {
    serde_json::to_value(reply).map_err(|error| Trouble::Broken(error.to_string()))
}

impl Host {
    fn serve(&mut self, request: Request) -> Result<Value> {
        match request {
            Request::Load(path) => self.load(&path)?,
            Request::Open { paths, files } => self.open(paths, &files)?,
            Request::Latency(latency) => scsi::set_latency(latency),
            Request::HangLimit(limit) => scsi::set_patience(limit),
            Request::Hang { percent } => self.hang(percent)?,
            Request::Device { path, behaviour } => {
                let paths = self.paths()?;
                let path = index(paths, path)?;
                set_device(paths.fd(path), behaviour);
            }
            Request::BareReads { batch } => {
                let files = std::mem::take(&mut self.files);
                for file in &files {
                    set_direct(file.as_raw_fd())?;
                }
                self.subject = Subject::BareReads(BareReads::new(files, batch)?);
            }
            Request::BareCommands => {
                self.subject = Subject::BareCommands(std::mem::take(&mut self.files));
            }
            Request::InitAll => {
                let start = Instant::now();
                self.paths()?.init_all()?;
                return value(start.elapsed());
            }
            Request::FreeAll => {
                let paths = self.paths()?;
                let start = Instant::now();
                paths.free_all();
                return value(start.elapsed());
            }
            Request::Call(function) => return value(self.call(function)?),
            Request::Rounds { count, pace } => {
                let mut sum = Round::default();
                for _ in 0..count {
                    let round = self.round(pace)?;
                    sum.wall += round.wall;
                    sum.processor += round.processor;
                }
                return value(sum);
            }
            Request::LongestCall => return value(self.longest_call()?),
            Request::Threads => {
                let (paths, awaited) = self.paths_and_awaited()?;
                return value(rounds::count_threads(paths, awaited));
            }
            Request::Start => {
                let paths = self.paths()?;
                let pending =
                    (0..paths.count()).filter(|path| paths.check(*path) == State::PENDING);
                return value(pending.count());
            }
            Request::Collect => {
                let paths = self.paths()?;
                let pending =
                    (0..paths.count()).filter(|path| paths.collect(*path) == State::PENDING);
                return value(pending.count());
            }
            Request::Usage => return value(used()),
            Request::StartThreads(count) => {
                return value(threads::start_many(count).doing("starting threads")?);
            }
            Request::RealTime if usage::become_real_time() => {}
            Request::RealTime => {
                return Err(Trouble::NotHere("no real-time priority".to_owned()));
            }
            Request::LockMemory if usage::lock_memory() => {}
            Request::LockMemory => {
                return Err(Trouble::NotHere("mlockall is not allowed".to_owned()));
            }
        }
        Ok(Value::Null)
    }

    fn load(&mut self, path: &Path) -> Result<()> {
        self.subject = Subject::Nothing;
        let plugin = Plugin::load(path, self.abi)?;
        harness::host::use_checker_thread(plugin.thread());
        self.plugin = Some(plugin);
        Ok(())
    }

    fn open(&mut self, paths: usize, files: &[PathBuf]) -> Result<()> {
        self.files.clear();
        self.files.reserve(paths);
        for (path, file) in files.iter().cycle().take(paths).enumerate() {
            let fd = match file == Path::new(FAKE_SCSI) {
                true => self.device(path).open()?,
                false => open(file)?,
            };
            self.files.push(fd);
        }
        self.awaited = vec![true; paths];
        self.open = Vec::with_capacity(paths);
        Ok(())
    }

    /// The fake SCSI device of a path: the same one when paths are opened again.
    fn device(&mut self, path: usize) -> Device {
        if let Some(device) = self.devices.get(path) {
            return *device;
        }
        let device = Device::new(Behaviour::Succeeds);
        self.devices.push(device);
        device
    }

    fn call(&mut self, function: Function) -> Result<Called> {
        if function == Function::Unload {
            self.paths()?;
            let Subject::Plugin(paths) = std::mem::replace(&mut self.subject, Subject::Nothing)
            else {
                return Err(no_plugin());
            };
            let plugin = paths.into_plugin();
            let ((), lap) = self.watch.time(|| plugin.unload());
            return Ok(Called { value: 0, lap });
        }
        self.paths()?;
        let Subject::Plugin(paths) = &mut self.subject else {
            return Err(no_plugin());
        };
        let (value, lap) = match function {
            Function::Init { path, seconds } => {
                let path = index(paths, path)?;
                self.watch.time(|| i32::from(!paths.init(path, seconds)))
            }
            Function::Check(path) => {
                let path = index(paths, path)?;
                self.watch.time(|| paths.check(path).0)
            }
            Function::Pending(path) => {
                let path = index(paths, path)?;
                self.watch.time(|| paths.collect(path).0)
            }
            Function::NeedWait(path) => {
                let path = index(paths, path)?;
                self.watch.time(|| i32::from(paths.need_wait(path)))
            }
            Function::Message(path) => {
                let path = index(paths, path)?;
                self.watch.time(|| i32::from(paths.has_message(path)))
            }
            Function::Free(path) => {
                let path = index(paths, path)?;
                let ((), lap) = self.watch.time(|| paths.free(path));
                (0, lap)
            }
            Function::Reset | Function::Unload => {
                let ((), lap) = self.watch.time(|| paths.plugin().reset());
                (0, lap)
            }
        };
        Ok(Called { value, lap })
    }

    fn paths(&mut self) -> Result<&mut Paths> {
        self.paths_and_awaited().map(|(paths, _)| paths)
    }

    /// The paths; made of the open files, if there are none yet.
    fn paths_and_awaited(&mut self) -> Result<(&mut Paths, &[bool])> {
        if let Some(plugin) = self.plugin.take() {
            let mut paths = Paths::new(self.abi, plugin);
            self.files.drain(..).for_each(|file| paths.add(file));
            self.subject = Subject::Plugin(Box::new(paths));
        }
        match &mut self.subject {
            Subject::Plugin(paths) => Ok((paths, &self.awaited)),
            _ => Err(no_plugin()),
        }
    }

    fn hang(&mut self, percent: usize) -> Result<()> {
        self.paths()?;
        let Subject::Plugin(paths) = &self.subject else {
            return Err(no_plugin());
        };
        for (path, awaited) in self.awaited.iter_mut().enumerate() {
            // Spread evenly, and exactly `percent` of each hundred.
            *awaited = (path * percent) % 100 + percent < 100;
            let behaviour = match *awaited {
                true => Behaviour::Succeeds,
                false => Behaviour::Hangs,
            };
            set_device(paths.fd(path), behaviour);
        }
        Ok(())
    }

    fn round(&mut self, pace: Pace) -> Result<Round> {
        match &mut self.subject {
            Subject::Nothing => Err(no_plugin()),
            Subject::Plugin(paths) => Ok(rounds::round(paths, &self.awaited, &mut self.open, pace)),
            Subject::BareReads(reads) => {
                Ok(rounds::measured(|| reads.round(pace, |submit| submit())))
            }
            Subject::BareCommands(files) => Ok(rounds::measured(|| {
                files
                    .iter()
                    .for_each(|file| test_unit_ready(file.as_raw_fd()));
            })),
        }
    }

    fn longest_call(&mut self) -> Result<Lap> {
        let mut longest = Lap::default();
        let watch = &self.watch;
        let mut timed = |call: &mut dyn FnMut()| {
            let ((), lap) = watch.time(call);
            longest = longest.longer(lap);
        };
        match &mut self.subject {
            Subject::Nothing => return Err(no_plugin()),
            Subject::Plugin(paths) => {
                return Ok(rounds::longest_call(paths, &self.awaited, watch));
            }
            Subject::BareReads(reads) => reads.round(Pace::Eager, timed),
            Subject::BareCommands(files) => files
                .iter()
                .for_each(|file| timed(&mut || test_unit_ready(file.as_raw_fd()))),
        }
        Ok(longest)
    }
}

fn no_plugin() -> Trouble {
    Trouble::Broken("there is no plugin".to_owned())
}

fn index(paths: &Paths, path: usize) -> Result<usize> {
    match path < paths.count() {
        true => Ok(path),
        false => Err(Trouble::Broken(format!("there is no path {path}"))),
    }
}

fn used() -> Usage {
    // The log records are the host's memory, not the plugin's.
    drop(harness::host::take_lines());
    let memory = usage::memory();
    Usage {
        resident: memory.resident,
        locked: memory.locked,
        contexts: usage::aio_contexts(),
        descriptors: usage::descriptors(),
        threads: threads::alive(),
        hanging: scsi::hung(),
    }
}

/// Opens a path for reading, as multipathd does.
fn open(file: &Path) -> Result<OwnedFd> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_CLOEXEC)
        .open(file);
    Ok(opened.doing(&file.display().to_string())?.into())
}

/// Changes the fake SCSI device of a path, if it is one.
fn set_device(fd: RawFd, behaviour: Behaviour) {
    if let Some(device) = Device::behind(fd) {
        device.set(behaviour);
    }
}

fn set_direct(fd: RawFd) -> Result<()> {
    // SAFETY: both requests take integers.
    let set = harness::os(unsafe { libc::fcntl(fd, libc::F_GETFL) }).and_then(|flags| {
        // SAFETY: as above.
        harness::os(unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_DIRECT) })
    });
    set.map(|_| ()).doing("setting O_DIRECT")
}

/// One TEST UNIT READY.
fn test_unit_ready(fd: RawFd) {
    /// `struct sg_io_hdr` of <scsi/sg.h> on 64-bit systems.
    #[repr(C, align(8))]
    struct Header([u8; 88]);
    let mut header = Header([0; 88]);
    // SAFETY: the file is a fake SCSI device, which writes to the header's result fields only.
    let result = unsafe { ioctl(fd, scsi::SG_IO, header.0.as_mut_ptr().cast()) };
    assert_eq!(result, 0);
}

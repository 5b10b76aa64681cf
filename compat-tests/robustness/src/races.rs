// SPDX-License-Identifier: LGPL-2.0-or-later

//! The role `races`: many threads in one plugin at a time, as in hosts of libmpathpersist, for tools that
//! find races and bad accesses.
//!
//! Every device has two paths. A path is used by one thread at a time, by any of them. In the end all
//! devices answer, everything is freed, and no thread may be left.
//!
//! The tool need not know this host: threads exclude each other with locks of the C library, which
//! tools understand, and share nothing else.

use crate::protocol::{RacesDevice, RacesMessage, RacesOrder};
use bench::paths::Paths;
use bench::random::Random;
use bench::{threads, usage};
use harness::abi::Abi;
use harness::ipc::Channel;
use harness::plugin::Plugin;
use harness::scsi::{Behaviour, Device};
use harness::{Doing, Result, Trouble};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;
use std::cell::UnsafeCell;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How many threads check paths.
const THREADS: u64 = 4;

/// How long everything may take to come to rest; tools make it slow.
const REST: Duration = Duration::from_secs(60);

/// The main function of the role.
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("races: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<()> {
    let mut channel = Channel::of_host()?;
    let order: RacesOrder = channel
        .receive()
        .doing("reading an order")?
        .ok_or_else(|| Trouble::Broken("no order".to_owned()))?;
    let end = run(&order, || {
        channel.send(&RacesMessage::ThreadsEnded).doing("reporting")
    });
    channel.send(&RacesMessage::End(end)).doing("reporting")
}

fn run(order: &RacesOrder, threads_ended: impl FnOnce() -> Result<()>) -> Result<String> {
    // A tool may have a thread of its own from the first one on.
    let _ = std::thread::spawn(|| {}).join();
    let threads_before = threads::alive();
    let mut slots = Vec::new();
    let mut remotes = Vec::new();
    for device in &order.devices {
        for _ in 0..2 {
            let (file, remote) = open(device)?;
            remotes.push(remote);
            slots.push(Slot::new(&order.plugin, order.abi, file)?);
        }
    }
    let end = Instant::now() + order.span;
    let calls = std::thread::scope(|scope| {
        let remotes = &remotes;
        let changer = scope.spawn(move || change_devices(remotes, end));
        let slots = &slots;
        let workers: Vec<_> = (0..THREADS)
            .map(|seed| scope.spawn(move || call(slots, end, seed)))
            .collect();
        let calls: std::result::Result<Vec<u64>, _> =
            workers.into_iter().map(|worker| worker.join()).collect();
        changer.join().and(calls)
    });
    let calls = calls.map_err(|_| Trouble::Broken("a thread has panicked".to_owned()))?;
    let calls: u64 = calls.iter().sum();
    threads_ended()?;
    remotes.iter().for_each(Remote::answer);
    for slot in &slots {
        slot.with(Paths::free_all);
    }
    rest(&slots, &remotes, threads_before)?;
    Ok(format!("{calls} calls by {THREADS} threads"))
}

/// Waits until nothing is left of the paths.
fn rest(slots: &[Slot], remotes: &[Remote], threads_before: u64) -> Result<()> {
    let start = Instant::now();
    loop {
        remotes.iter().for_each(Remote::answer);
        if let Some(slot) = slots.first() {
            slot.with(|paths| paths.plugin().reset());
        }
        let (threads, contexts) = (threads::alive(), usage::aio_contexts());
        if threads <= threads_before && contexts == 0 {
            return Ok(());
        }
        if start.elapsed() > REST {
            return Err(Trouble::Broken(format!(
                "left behind: {threads} threads (before: {threads_before}), {contexts} AIO contexts"
            )));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Calls random functions of random paths; how many.
fn call(slots: &[Slot], end: Instant, seed: u64) -> u64 {
    let mut random = Random(seed * 2 + 1);
    let mut calls = 0;
    while Instant::now() < end {
        let Some(slot) = slots.get(random.below(slots.len())) else {
            break;
        };
        // One second may pass before the end, a thousand cannot.
        let seconds = if random.below(2) == 0 { 1 } else { 1000 };
        let action = random.below(64);
        slot.with(|paths| {
            if !paths.is_alive(0) {
                assert!(paths.init(0, seconds), "init refused a path");
            }
            match action {
                0..30 => drop(paths.check(0)),
                30..50 => drop(paths.collect(0)),
                50..58 => drop(paths.need_wait(0)),
                58..63 => paths.free(0),
                _ => paths.plugin().reset(),
            }
        });
        calls += 1;
    }
    calls
}

/// Changes random devices.
fn change_devices(remotes: &[Remote], end: Instant) {
    let mut random = Random(99);
    while Instant::now() < end {
        if let Some(remote) = remotes.get(random.below(remotes.len())) {
            match random.below(4) {
                0 => remote.hang(),
                1 => remote.go_away(),
                _ => remote.answer(),
            }
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// What this host can change of a device.
enum Remote {
    /// Nothing.
    File,
    FakeScsi(Device),
    /// The end to write to.
    Pipe(File),
}

impl Remote {
    fn hang(&self) {
        if let Remote::FakeScsi(device) = self {
            device.set(Behaviour::Hangs);
        }
    }

    fn go_away(&self) {
        if let Remote::FakeScsi(device) = self {
            device.set(Behaviour::Gone);
        }
    }

    fn answer(&self) {
        match self {
            Remote::File => {}
            Remote::FakeScsi(device) => device.set(Behaviour::Succeeds),
            Remote::Pipe(end) => {
                let mut end = end;
                // Fails when the pipe is full, which is as good.
                let _ = end.write(&[0; 4096]);
            }
        }
    }
}

fn open(device: &RacesDevice) -> Result<(OwnedFd, Remote)> {
    Ok(match device {
        RacesDevice::Pipe => {
            let (read, write) = pipe2(OFlag::O_CLOEXEC).doing("pipe")?;
            fcntl(&write, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).doing("fcntl")?;
            (read, Remote::Pipe(File::from(write)))
        }
        RacesDevice::FakeScsi => {
            let device = Device::new(Behaviour::Succeeds);
            (device.open()?, Remote::FakeScsi(device))
        }
        RacesDevice::File(path) => {
            let mut options = OpenOptions::new();
            let options = options.read(true).custom_flags(libc::O_CLOEXEC);
            let file = options.open(path).doing("opening a device")?;
            (file.into(), Remote::File)
        }
    })
}

/// One path, with a lock of the C library.
struct Slot {
    lock: Box<UnsafeCell<libc::pthread_mutex_t>>,
    paths: UnsafeCell<Paths>,
}

// SAFETY: the path is used with the lock held only.
unsafe impl Sync for Slot {}

impl Slot {
    fn new(plugin: &Path, abi: Abi, file: OwnedFd) -> Result<Slot> {
        let plugin = Plugin::load(plugin, abi)?;
        if plugin
            .assume_abi(abi.letter().into())
            .is_some_and(|result| result != 0)
        {
            return Err(Trouble::Broken("the plugin refuses the ABI".to_owned()));
        }
        let mut paths = Paths::new(abi, plugin);
        paths.add(file);
        Ok(Slot {
            lock: Box::new(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER)),
            paths: UnsafeCell::new(paths),
        })
    }

    fn with<T>(&self, call: impl FnOnce(&mut Paths) -> T) -> T {
        // SAFETY: an initialised lock that stays where it is; the holder is the only user of the path.
        unsafe {
            libc::pthread_mutex_lock(self.lock.get());
            let result = call(&mut *self.paths.get());
            libc::pthread_mutex_unlock(self.lock.get());
            result
        }
    }
}

//! Many threads in one plugin at a time, as hosts of libmpathpersist are, for tools that look for
//! races and bad accesses.
//!
//! usage: race-host PLUGIN ABI SECONDS DEVICE…
//!   ABI     0.7.9, 0.11 or 0.15, which the plugin is told: this host has nothing of libmultipath
//!   DEVICE  a file; `stub`, a SCSI device that answers, hangs and goes away; `pipe`, which hangs
//!           until something is written to it
//!
//! Every device has two paths. A path is used by one thread at a time, by any of them. In the end all
//! devices answer (whoever holds files that hang lets them go when the standard input of this process
//! is closed), everything is freed, and no thread may be left.
//!
//! The tool need not know this host: threads exclude each other with locks of the C library, which
//! tools understand, and share nothing else.

use bench::paths::Paths;
use bench::random::Random;
use bench::stub::{self, Device};
use bench::{threads, usage};
use harness::abi::Abi;
use harness::plugin::Plugin;
use harness::{Doing, Result, Trouble};
use std::cell::UnsafeCell;
use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

bench::export_devices!();

/// How many threads check paths.
const THREADS: u64 = 4;

/// How long everything may take to come to rest; tools make it slow.
const REST: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            println!("race-host: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<String> {
    let [plugin, abi, seconds, devices @ ..] = words else {
        return Err(Trouble::Broken("see its source for the usage".to_owned()));
    };
    let abi: Abi = abi.parse()?;
    let seconds = seconds
        .parse()
        .map_err(|_| Trouble::Broken(format!("{seconds:?} is no number")))?;
    // A tool may have a thread of its own from the first one on.
    let _ = std::thread::spawn(|| {}).join();
    let threads_before = threads::alive();
    let mut slots = Vec::new();
    let mut remotes = Vec::new();
    for device in devices {
        for _ in 0..2 {
            let (file, remote) = open(device)?;
            remotes.push(remote);
            slots.push(Slot::new(Path::new(plugin), abi, file)?);
        }
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let calls = std::thread::scope(|scope| {
        let remotes = &remotes;
        let stirrer = scope.spawn(move || stir(remotes, end));
        let slots = &slots;
        let workers: Vec<_> = (0..THREADS)
            .map(|seed| scope.spawn(move || work(slots, end, seed)))
            .collect();
        let calls = workers.into_iter().map(|worker| worker.join());
        let calls: u64 = calls.map(|calls| calls.unwrap_or_default()).sum();
        let _ = stirrer.join();
        calls
    });
    // Whoever reads it lets the files go.
    println!("done");
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

/// Calls this and that.
fn work(slots: &[Slot], end: Instant, seed: u64) -> u64 {
    let mut random = Random(seed * 2 + 1);
    let mut calls = 0;
    while Instant::now() < end {
        let Some(slot) = slots.get(random.below(slots.len())) else {
            break;
        };
        // Where a time limit passes, it passes soon.
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

/// Changes devices all the time.
fn stir(remotes: &[Remote], end: Instant) {
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

/// What a device can be made to do from here.
enum Remote {
    /// Nothing.
    File,
    Stub(RawFd),
    /// To be written to.
    Pipe(OwnedFd),
}

impl Remote {
    fn hang(&self) {
        if let Remote::Stub(fd) = self {
            stub::set(*fd, Device::Hangs);
        }
    }

    fn go_away(&self) {
        if let Remote::Stub(fd) = self {
            stub::set(*fd, Device::Gone);
        }
    }

    fn answer(&self) {
        match self {
            Remote::File => {}
            Remote::Stub(fd) => stub::set(*fd, Device::Answers),
            Remote::Pipe(end) => {
                let block = [0_u8; 4096];
                // SAFETY: as many bytes as the block has. The pipe does not wait when it is full.
                unsafe { libc::write(end.as_raw_fd(), block.as_ptr().cast(), block.len()) };
            }
        }
    }
}

fn open(device: &str) -> Result<(OwnedFd, Remote)> {
    if device == "pipe" {
        let mut ends = [0; 2];
        // SAFETY: room for two descriptors, which are ours alone afterwards.
        let (read, write) = unsafe {
            harness::os(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC)).doing("pipe")?;
            let [read, write] = ends.map(|fd| OwnedFd::from_raw_fd(fd));
            libc::fcntl(write.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK);
            (read, write)
        };
        return Ok((read, Remote::Pipe(write)));
    }
    let stub = device == "stub";
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_CLOEXEC)
        .open(if stub { "/dev/zero" } else { device })
        .doing(device)?;
    let remote = match stub {
        true => Remote::Stub(file.as_raw_fd()),
        false => Remote::File,
    };
    remote.answer();
    Ok((file.into(), remote))
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
            .is_some_and(|answer| answer != 0)
        {
            return Err(Trouble::Broken(
                "the plugin does not take our word".to_owned(),
            ));
        }
        let mut paths = Paths::new(abi, plugin);
        paths.add(file);
        Ok(Slot {
            lock: Box::new(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER)),
            paths: UnsafeCell::new(paths),
        })
    }

    fn with<T>(&self, what: impl FnOnce(&mut Paths) -> T) -> T {
        // SAFETY: an initialised lock that stays where it is; who holds it is alone with the path.
        unsafe {
            libc::pthread_mutex_lock(self.lock.get());
            let answer = what(&mut *self.paths.get());
            libc::pthread_mutex_unlock(self.lock.get());
            answer
        }
    }
}

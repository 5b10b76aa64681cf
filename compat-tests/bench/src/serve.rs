//! The life of a host process: it reads what to do from its standard input and answers each line
//! with one of its own, `name=value` words or `error` and why. More commands are in
//! [`single`].
//!
//! | command | does | answers |
//! |---|---|---|
//! | `load PLUGIN` | loads a plugin | |
//! | `open COUNT FILE…` | opens so many paths, taking the files in turn; `stub` stands for a SCSI device | |
//! | `latency MICROS` | SCSI devices answer after this | |
//! | `patience MILLIS` | SCSI devices that hang answer after this all the same | |
//! | `hang PERCENT` | so many of the paths hang from now on, spread evenly; only stubs can | |
//! | `init`, `free`, `reset` | for all paths | `ns` |
//! | `unload` | `libcheck_reset` and `dlclose`, once all paths have been freed | as in [`single`] |
//! | `round COUNT`, `tick COUNT` | rounds of checks, eagerly or at the daemon's pace | `wall`, `processor` (ns) |
//! | `start`, `collect` | the halves of a round | `pending` |
//! | `threads` | one round | `created`, `most` |
//! | `usage` | | `resident`, `locked`, `aio`, `fds`, `threads` |
//! | `urgent` | gives the process real-time priority | |
//! | `lock` | locks the memory as multipathd does | |
//! | `floor BATCH`, `inline` | instead of a plugin: bare `io_submit`, bare `ioctl` | |
//! | `crowd COUNT` | starts so many threads, lets them run, and ends them | `wall` until the last one runs |

use crate::aio_floor::Floor;
use crate::paths::Paths;
use crate::rounds::{Pace, Round, count_threads, round};
use crate::stopwatch::Stopwatch;
use crate::stub::{self, Device};
use crate::{single, threads, usage};
use harness::abi::Abi;
use harness::plugin::{self, Plugin};
use harness::state::State;
use harness::{Doing, Result, Trouble};
use std::fs::OpenOptions;
use std::io::{BufRead, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What is being measured.
enum Subject {
    Nothing,
    Plugin(Box<Paths>),
    Floor(Floor),
    /// The `ioctl` of these devices, called in a row.
    Inline(Vec<OwnedFd>),
}

struct Host {
    abi: Abi,
    plugin: Option<Plugin>,
    subject: Subject,
    /// Files opened and not yet used.
    files: Vec<OwnedFd>,
    /// Whose verdicts a round waits for.
    awaited: Vec<bool>,
    open: Vec<usize>,
    watch: Stopwatch,
}

/// The `main` of a host executable.
pub fn main(abi: Abi) -> ExitCode {
    usage::raise_descriptor_limit();
    harness::host::set_sync(false);
    let watch = match Stopwatch::new() {
        Ok(watch) => watch,
        Err(trouble) => {
            println!("error {trouble}");
            return ExitCode::FAILURE;
        }
    };
    let mut host = Host {
        watch,
        abi,
        plugin: None,
        subject: Subject::Nothing,
        files: Vec::new(),
        awaited: Vec::new(),
        open: Vec::new(),
    };
    let mut line = String::new();
    let mut input = std::io::stdin().lock();
    loop {
        line.clear();
        match input.read_line(&mut line) {
            Ok(0) | Err(_) => return ExitCode::SUCCESS,
            Ok(_) => {}
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match host.obey(&words) {
            Ok(answer) => answer,
            Err(trouble) => format!("error {trouble}"),
        };
        let mut output = std::io::stdout().lock();
        if writeln!(output, "{answer}")
            .and_then(|()| output.flush())
            .is_err()
        {
            return ExitCode::FAILURE;
        }
    }
}

impl Host {
    fn obey(&mut self, words: &[&str]) -> Result<String> {
        let done = Ok(String::new());
        match *words {
            ["load", path] => {
                let path = Path::new(path);
                self.plugin = Some(Plugin::load(path, self.abi)?);
                let handle = plugin::open(path, libc::RTLD_NOW)?;
                // SAFETY: the handle has just come from dlopen, and is not the plugin's only one: what
                // is found in it stays loaded.
                unsafe {
                    threads::use_plugin(handle);
                    libc::dlclose(handle);
                }
                done
            }
            ["open", count, ref files @ ..] => {
                let count: usize = number(count)?;
                self.files.clear();
                self.files.reserve(count);
                for file in files.iter().cycle().take(count) {
                    self.files.push(open(file)?);
                }
                self.awaited = vec![true; count];
                self.open = Vec::with_capacity(count);
                done
            }
            ["latency", micros] => {
                stub::set_latency(Duration::from_micros(number(micros)?));
                done
            }
            ["patience", millis] => {
                stub::set_patience(Duration::from_millis(number(millis)?));
                done
            }
            ["hang", percent] => self.hang(number(percent)?).map(|()| String::new()),
            ["floor", batch] => {
                let files = std::mem::take(&mut self.files);
                for file in &files {
                    set_direct(file.as_raw_fd())?;
                }
                self.subject = Subject::Floor(Floor::new(files, number(batch)?)?);
                done
            }
            ["inline"] => {
                self.subject = Subject::Inline(std::mem::take(&mut self.files));
                done
            }
            ["crowd", count] => {
                let wall = threads::crowd(number(count)?).doing("starting threads")?;
                Ok(format!("wall={}", wall.as_nanos()))
            }
            ["paths"] => {
                self.make_paths();
                done
            }
            ["call" | "device", ..] => {
                let Subject::Plugin(paths) = &mut self.subject else {
                    return Err(Trouble::Broken("there is no plugin".to_owned()));
                };
                single::obey(paths, &self.watch, words)
            }
            ["init"] => {
                self.make_paths();
                let paths = self.paths()?;
                timed(|| paths.init_all())
            }
            ["free"] => {
                let paths = self.paths()?;
                timed(|| {
                    paths.free_all();
                    Ok(())
                })
            }
            ["reset"] => {
                let paths = self.paths()?;
                timed(|| {
                    paths.plugin().reset();
                    Ok(())
                })
            }
            ["unload"] => match std::mem::replace(&mut self.subject, Subject::Nothing) {
                Subject::Plugin(paths) => {
                    let plugin = paths.into_plugin();
                    let ((), lap) = self.watch.time(|| plugin.unload());
                    Ok(single::show(0, lap))
                }
                _ => Err(Trouble::Broken("there is no plugin".to_owned())),
            },
            ["round", count] => self.rounds(number(count)?, Pace::Eager),
            ["tick", count] => self.rounds(number(count)?, Pace::Daemon),
            ["start"] => {
                let paths = self.paths()?;
                let pending =
                    (0..paths.count()).filter(|path| paths.check(*path) == State::PENDING);
                Ok(format!("pending={}", pending.count()))
            }
            ["collect"] => {
                let awaited = std::mem::take(&mut self.awaited);
                let paths = self.paths()?;
                let pending =
                    (0..paths.count()).filter(|path| paths.collect(*path) == State::PENDING);
                let pending = pending.count();
                self.awaited = awaited;
                Ok(format!("pending={pending}"))
            }
            ["threads"] => {
                let awaited = std::mem::take(&mut self.awaited);
                let counts = self.paths().map(|paths| count_threads(paths, &awaited));
                self.awaited = awaited;
                let (created, most) = counts?;
                Ok(format!("created={created} most={most}"))
            }
            ["usage"] => {
                // The log of this host is not the plugin's memory.
                drop(harness::host::take_lines());
                let memory = usage::memory();
                Ok(format!(
                    "resident={} locked={} aio={} fds={} threads={} hanging={} commands={}",
                    memory.resident,
                    memory.locked,
                    usage::aio_contexts(),
                    usage::descriptors(),
                    threads::alive(),
                    stub::hanging(),
                    stub::commands(),
                ))
            }
            ["urgent"] if usage::become_urgent() => done,
            ["urgent"] => Err(Trouble::NotHere("no real-time priority".to_owned())),
            ["lock"] if usage::lock_memory() => done,
            ["lock"] => Err(Trouble::NotHere("mlockall is not allowed".to_owned())),
            _ => Err(Trouble::Broken(format!("unknown command {words:?}"))),
        }
    }

    /// Makes paths of the open files, unless that has been done.
    fn make_paths(&mut self) {
        if let Some(plugin) = self.plugin.take() {
            let mut paths = Paths::new(self.abi, plugin);
            self.files.drain(..).for_each(|file| paths.add(file));
            self.subject = Subject::Plugin(Box::new(paths));
        }
    }

    fn paths(&mut self) -> Result<&mut Paths> {
        match &mut self.subject {
            Subject::Plugin(paths) => Ok(paths),
            _ => Err(Trouble::Broken("there is no plugin".to_owned())),
        }
    }

    fn hang(&mut self, percent: usize) -> Result<()> {
        let Subject::Plugin(paths) = &self.subject else {
            return Err(Trouble::Broken("there is no plugin".to_owned()));
        };
        for (path, awaited) in self.awaited.iter_mut().enumerate() {
            // Every tenth of ten, the first two of five …: spread, and exactly so many of hundred.
            *awaited = (path * percent) % 100 + percent < 100;
            let device = if *awaited {
                Device::Answers
            } else {
                Device::Hangs
            };
            stub::set(paths.fd(path), device);
        }
        Ok(())
    }

    fn rounds(&mut self, count: u32, pace: Pace) -> Result<String> {
        let mut sum = Round::default();
        for _ in 0..count {
            let round = self.round(pace)?;
            sum.wall += round.wall;
            sum.processor += round.processor;
        }
        Ok(format!(
            "wall={} processor={}",
            sum.wall.as_nanos(),
            sum.processor.as_nanos()
        ))
    }

    fn round(&mut self, pace: Pace) -> Result<Round> {
        match &mut self.subject {
            Subject::Nothing => Err(Trouble::Broken("there is nothing to measure".to_owned())),
            Subject::Plugin(paths) => Ok(round(paths, &self.awaited, &mut self.open, pace)),
            Subject::Floor(floor) => Ok(measured(|| {
                floor.submit();
                let mut left = floor.count() - floor.reap();
                while left > 0 {
                    match pace {
                        Pace::Daemon => std::thread::sleep(Duration::from_millis(5)),
                        Pace::Eager => std::thread::yield_now(),
                    }
                    left -= floor.reap();
                }
            })),
            Subject::Inline(files) => Ok(measured(|| {
                for file in &*files {
                    test_unit_ready(file.as_raw_fd());
                }
            })),
        }
    }
}

/// The time that `work` takes.
fn measured(work: impl FnOnce()) -> Round {
    let processor = usage::processor_time();
    let start = Instant::now();
    work();
    Round {
        wall: start.elapsed(),
        processor: usage::processor_time() - processor,
    }
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<String> {
    let start = Instant::now();
    work()?;
    Ok(format!("ns={}", start.elapsed().as_nanos()))
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T> {
    word.parse()
        .map_err(|_| Trouble::Broken(format!("{word:?} is no number")))
}

/// Opens a path as multipathd does, for reading.
fn open(file: &str) -> Result<OwnedFd> {
    let stub = file == "stub";
    let path = if stub { "/dev/zero" } else { file };
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_CLOEXEC)
        .open(path);
    let fd = OwnedFd::from(opened.doing(path)?);
    let behaviour = if stub { Device::Answers } else { Device::None };
    stub::set(fd.as_raw_fd(), behaviour);
    Ok(fd)
}

fn set_direct(fd: RawFd) -> Result<()> {
    // SAFETY: both requests take integers.
    let set = harness::os(unsafe { libc::fcntl(fd, libc::F_GETFL) }).and_then(|flags| {
        // SAFETY: as above.
        harness::os(unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_DIRECT) })
    });
    set.map(|_| ()).doing("setting O_DIRECT")
}

/// One TEST UNIT READY, and nothing else.
fn test_unit_ready(fd: RawFd) {
    /// `struct sg_io_hdr` of <scsi/sg.h> on 64-bit systems.
    #[repr(C, align(8))]
    struct Header([u8; 88]);
    let mut header = Header([0; 88]);
    // SAFETY: the file is a stub, which writes to the results only.
    let answer = unsafe { stub::ioctl(fd, 0x2285, header.0.as_mut_ptr().cast()) };
    assert_eq!(answer, 0);
}

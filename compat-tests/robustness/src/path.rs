// SPDX-License-Identifier: LGPL-2.0-or-later

//! One path of a host to which resources are refused.

use crate::protocol::ShortageMessage;
use harness::abi::Abi;
use harness::checker_struct::Checker;
use harness::interpose::{faults, system};
use harness::ipc::Channel;
use harness::plugin::Plugin;
use harness::scsi::{self, Behaviour, Device};
use harness::state::State;
use harness::{Doing, Result, Trouble, host};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use std::ffi::{c_long, c_uint, c_void};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The time limit of a check in seconds, which no case may reach. directio counts it in calls where the
/// host takes verdicts from `check`.
pub(crate) const LIMIT: c_uint = 100_000;

/// How long a verdict of a responding device may take on a busy machine, and a process to release what it
/// has used. Far less than the time limit of a check.
pub(crate) const SOON: Duration = Duration::from_secs(12);

/// How long a slow device takes for a command.
const SLOW: Duration = Duration::from_millis(50);

/// What all paths of a process have in common.
pub(crate) struct Host {
    abi: Abi,
    pub(crate) plugin: Plugin,
    /// The checker reads, instead of sending commands.
    pub(crate) reads: bool,
    /// A file that completes reads.
    file: PathBuf,
    /// A file whose reads hang while the driver holds it.
    pub(crate) held_file: Option<PathBuf>,
    driver: Option<Mutex<Driver>>,
}

/// The program that started this host.
pub(crate) struct Driver(Channel);

impl Driver {
    /// Sends a message.
    pub(crate) fn tell(&mut self, message: &ShortageMessage) -> Result<()> {
        self.0.send(message).doing("reporting")
    }

    /// Has the file hold reads.
    pub(crate) fn hold(&mut self) -> Result<()> {
        self.0.request(&ShortageMessage::Hold)
    }

    /// Has the file complete its reads.
    pub(crate) fn release(&mut self) -> Result<()> {
        self.0.request(&ShortageMessage::Release)
    }
}

impl Host {
    /// Loads the plugin.
    pub(crate) fn new(
        abi: Abi,
        plugin: &std::path::Path,
        file: PathBuf,
        held_file: Option<PathBuf>,
        driver: Option<Channel>,
    ) -> Result<Host> {
        Ok(Host {
            abi,
            plugin: faults::inside(|| Plugin::load(plugin, abi))?,
            reads: plugin.ends_with("libcheckdirectio.so"),
            file,
            held_file,
            driver: driver.map(|channel| Mutex::new(Driver(channel))),
        })
    }

    /// The program that started this host.
    pub(crate) fn driver(&self) -> Result<MutexGuard<'_, Driver>> {
        let driver = self.driver.as_ref().ok_or(broken("there is no driver"))?;
        Ok(driver
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// `libcheck_reset`.
    pub(crate) fn reset(&self) {
        faults::inside(|| self.plugin.reset());
    }

    /// `seconds`, unless the checker counts its time limit in calls.
    pub(crate) fn limit(&self, seconds: c_uint) -> c_uint {
        match self.reads && self.abi == Abi::V0_7_9 {
            true => LIMIT,
            false => seconds,
        }
    }
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A device that answers at once.
    Up,
    /// One that answers after [`SLOW`].
    Slow,
    /// One that hangs: a command, or a read that waits while it is being submitted.
    Hangs,
    /// A read that is in flight and hangs.
    InFlight,
    /// A pipe with enough in it for some reads, which a worker has to submit. As `Up` otherwise.
    Deferred,
}

/// One path.
pub(crate) struct Path<'a> {
    host: &'a Host,
    checker: Option<Checker>,
    /// The word that a host of 0.15 passes for the path's map.
    map_word: c_long,
    file: OwnedFd,
    target: Target,
    /// The fake SCSI device, for a checker that sends commands.
    device: Device,
    /// The other end of a pipe.
    feed: Option<File>,
}

impl<'a> Path<'a> {
    /// A path without a checker.
    pub(crate) fn new(host: &'a Host, target: Target) -> Result<Path<'a>> {
        let mut feed = None;
        let device = Device::new(match target {
            Target::Up | Target::Deferred | Target::Slow => Behaviour::Healthy,
            Target::Hangs | Target::InFlight => Behaviour::Hangs,
        });
        if target == Target::Slow {
            device.set_latency(SLOW);
        }
        let file: OwnedFd = if !host.reads {
            device.open()?
        } else if matches!(target, Target::Hangs | Target::Deferred) {
            let (read, write) = pipe2(OFlag::O_CLOEXEC).doing("pipe")?;
            // A write to a full pipe must not wait.
            let flags = nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK);
            nix::fcntl::fcntl(&write, flags).doing("fcntl")?;
            feed = Some(File::from(write));
            read
        } else {
            let file = match target {
                Target::InFlight => host.held_file.as_ref(),
                _ => Some(&host.file),
            };
            let file = file.ok_or(Trouble::NotHere("no file that hangs".to_owned()))?;
            let mut options = File::options();
            let options = options.read(true).custom_flags(libc::O_CLOEXEC);
            options.open(file).doing("opening a file")?.into()
        };
        let path = Path {
            host,
            checker: None,
            map_word: -1,
            file,
            target,
            device,
            feed,
        };
        if target == Target::Deferred {
            path.feed();
        }
        Ok(path)
    }

    /// A path with a checker.
    ///
    /// # Errors
    /// When init fails.
    pub(crate) fn with_checker(host: &'a Host, target: Target, limit: c_uint) -> Result<Path<'a>> {
        let mut path = Path::new(host, target)?;
        match path.init(limit)? {
            true => Ok(path),
            false => Err(broken("init failed")),
        }
    }

    /// A path that hangs in a check.
    pub(crate) fn hung(host: &'a Host) -> Result<Path<'a>> {
        let mut path = Path::with_checker(host, Target::Hangs, LIMIT)?;
        if path.check()? != State::PENDING {
            return Err(broken(
                "a path that hangs, and to which nothing is refused, is not pending",
            ));
        }
        path.until_it_hangs()?;
        Ok(path)
    }

    /// `libcheck_init`, and `libcheck_mp_init` where the host knows it. Whether the path has a checker.
    pub(crate) fn init(&mut self, limit: c_uint) -> Result<bool> {
        let fd = self.file.as_raw_fd();
        let mut checker = Checker::new(self.host.abi, host::class(), fd, limit)?;
        checker.invite_map_value();
        let pointer = checker.as_ptr();
        let plugin = &self.host.plugin;
        // SAFETY: a struct of the plugin's ABI, which only this thread uses.
        let done = faults::inside(|| unsafe {
            let done = plugin.init(pointer) == 0;
            if done {
                // The path is checked even if there is no memory for the map.
                plugin.mp_init(pointer);
            }
            done
        });
        harm(&mut checker, "init")?;
        if done {
            checker.set_msgid(0);
            self.checker = Some(checker);
        } else if !checker.context().is_null() {
            return Err(broken("a failed init left a context"));
        }
        Ok(done)
    }

    /// What `checker_check` of libmultipath does.
    pub(crate) fn check(&mut self) -> Result<State> {
        self.call("check", |plugin, pointer, map| {
            // SAFETY: a struct of the plugin's ABI, which only this thread uses.
            unsafe { plugin.check(pointer, map) }
        })
    }

    /// What a host does with a path that is pending.
    pub(crate) fn collect(&mut self) -> Result<State> {
        if self.host.abi == Abi::V0_7_9 {
            return self.check();
        }
        self.call("pending", |plugin, pointer, map| {
            // SAFETY: as in `check`.
            unsafe { plugin.need_wait(pointer) };
            // SAFETY: as in `check`.
            unsafe { plugin.pending(pointer, map) }.unwrap_or(State::UNCHECKED)
        })
    }

    /// A check, and its result if that comes within `patience`.
    pub(crate) fn verdict(&mut self, patience: Duration) -> Result<State> {
        let state = self.check()?;
        self.wait_for(state, patience)
    }

    /// The result of a check that returned `state`, if it comes within `patience`.
    pub(crate) fn wait_for(&mut self, mut state: State, patience: Duration) -> Result<State> {
        let end = Instant::now() + patience;
        while state == State::PENDING && Instant::now() < end {
            std::thread::sleep(Duration::from_micros(200));
            state = self.collect()?;
        }
        Ok(state)
    }

    fn call(
        &mut self,
        name: &str,
        call: impl FnOnce(&Plugin, *mut c_void, *mut c_void) -> State,
    ) -> Result<State> {
        let checker = self
            .checker
            .as_mut()
            .ok_or(broken("a path without a checker"))?;
        checker.set_msgid(0);
        let pointer = checker.as_ptr();
        let map = (&raw mut self.map_word).cast();
        let plugin = &self.host.plugin;
        let state = faults::inside(|| call(plugin, pointer, map));
        harm(checker, name)?;
        let id = checker.msgid();
        if id != 0 && plugin.message(id).is_empty() {
            return Err(Trouble::Broken(format!("{name}: message {id} has no text")));
        }
        checker.set_path_state(state);
        Ok(state)
    }

    /// `check` and `pending` and nothing else, for threads that may be cancelled.
    pub(crate) fn call_bare(&mut self) {
        let Some(checker) = &self.checker else { return };
        let (pointer, map) = (checker.as_ptr(), (&raw mut self.map_word).cast());
        let plugin = &self.host.plugin;
        // SAFETY: as in `check`.
        faults::inside(|| unsafe {
            plugin.check(pointer, map);
            plugin.pending(pointer, map);
        });
    }

    /// `libcheck_free`, if the path has a checker.
    pub(crate) fn free(&mut self) -> Result<()> {
        if let Some(mut checker) = self.checker.take() {
            let pointer = checker.as_ptr();
            let plugin = &self.host.plugin;
            // SAFETY: as in `check`.
            faults::inside(|| unsafe { plugin.free(pointer) });
            harm(&mut checker, "free")?;
        }
        Ok(())
    }

    /// Whether the path has a checker.
    pub(crate) fn has_checker(&self) -> bool {
        self.checker.is_some()
    }

    /// Whether the device hangs before [`Path::heal`].
    pub(crate) fn hangs(&self) -> bool {
        matches!(self.target, Target::Hangs | Target::InFlight)
    }

    /// Waits until the path's command hangs. A read that is in flight does so at once.
    pub(crate) fn until_it_hangs(&self) -> Result<()> {
        if self.target == Target::InFlight {
            return Ok(());
        }
        let end = Instant::now() + Duration::from_secs(10);
        while scsi::hung() + system::submitting() == 0 {
            if Instant::now() > end {
                return Err(broken("a command that hangs was never sent"));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// From now on the device answers.
    pub(crate) fn heal(&self) -> Result<()> {
        if !self.host.reads {
            self.device.set(Behaviour::Healthy);
        } else if self.target == Target::InFlight {
            self.host.driver()?.release()?;
        }
        self.feed();
        Ok(())
    }

    /// Puts as much into a pipe as it takes, a block at a time.
    pub(crate) fn feed(&self) {
        if let Some(mut feed) = self.feed.as_ref() {
            while feed.write(&[0; 4096]).is_ok() {}
        }
    }
}

fn harm(checker: &mut Checker, call: &str) -> Result<()> {
    match checker.harm() {
        None => Ok(()),
        Some(harm) => Err(Trouble::Broken(format!("{call}: {harm}"))),
    }
}

pub(crate) fn broken(what: &str) -> Trouble {
    Trouble::Broken(what.to_owned())
}

/// Runs a role in a host whose requests for resources are counted, and may be refused.
pub(crate) fn run_role(name: &str, serve: impl FnOnce() -> Result<()>) -> ExitCode {
    faults::this_is_the_host();
    faults::count();
    harness::host::set_sync(false);
    // Keeping log records would take memory on behalf of the plugin, which may be refused.
    harness::host::use_sink(|_, _| ());
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("{name}: {trouble}");
            ExitCode::FAILURE
        }
    }
}

//! The paths of one case.

use super::devices::{self, Device};
use super::faults;
use harness::abi::Abi;
use harness::checker_struct::Checker;
use harness::plugin::Plugin;
use harness::state::State;
use harness::{Doing, Result, Trouble, host};
use std::ffi::{c_int, c_long, c_uint};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

/// `enum path_state`, as far as it may be met here.
pub(super) const UNCHECKED: c_int = 1;
/// See [`UNCHECKED`].
pub(super) const UP: c_int = 3;
/// See [`UNCHECKED`].
pub(super) const PENDING: c_int = 6;

/// The time limit of a check in seconds, which no case may reach: directio counts it in calls where the
/// host takes verdicts from `check`.
pub(super) const LIMIT: c_uint = 100_000;

/// What all cases of a process have in common.
pub(super) struct Common {
    pub(super) abi: Abi,
    pub(super) plugin: Plugin,
    /// A checker that reads, instead of sending commands.
    pub(super) reads: bool,
    /// A file that answers reads.
    pub(super) file: String,
    /// A file that holds reads back until the program that started this one lets it go.
    pub(super) stalled: Option<String>,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// A device that answers at once.
    Up,
    /// One that answers after 50 ms.
    Slow,
    /// One that hangs: a command, or a read that waits while it is being submitted.
    Hangs,
    /// A read that is in flight and hangs.
    InFlight,
    /// A pipe with enough in it for some reads, which a worker has to submit. As `Up` otherwise.
    Deferred,
}

/// One path.
pub(super) struct Path<'a> {
    common: &'a Common,
    checker: Option<Checker>,
    /// What ABI 0.15 passes along for the path's map.
    map_word: c_long,
    file: OwnedFd,
    behind: Behind,
    device: u8,
    /// The other end of a pipe.
    feed: Option<OwnedFd>,
}

impl<'a> Path<'a> {
    /// A path without a checker; `device` is its number, not 0.
    pub(super) fn new(common: &'a Common, behind: Behind, device: u8) -> Result<Path<'a>> {
        let mut feed = None;
        let file: OwnedFd = if !common.reads {
            let file = File::options().read(true).write(true).open("/dev/null");
            file.doing("/dev/null")?.into()
        } else if matches!(behind, Behind::Hangs | Behind::Deferred) {
            let (read, write) = pipe()?;
            feed = Some(write);
            read
        } else {
            let name = match behind {
                Behind::InFlight => common.stalled.as_ref(),
                _ => Some(&common.file),
            };
            let name = name.ok_or(Trouble::NotHere("no file that hangs".to_owned()))?;
            let mut options = File::options();
            let options = options.read(true).custom_flags(libc::O_CLOEXEC);
            options.open(name).doing(name)?.into()
        };
        let path = Path {
            common,
            checker: None,
            map_word: -1,
            file,
            behind,
            device,
            feed,
        };
        if !common.reads {
            devices::attach(path.file.as_raw_fd(), device);
            devices::set(
                device,
                match behind {
                    Behind::Up | Behind::Deferred => Device::Up,
                    Behind::Slow => Device::Slow,
                    Behind::Hangs | Behind::InFlight => Device::Hangs,
                },
            );
        } else if behind == Behind::Deferred {
            path.feed();
        }
        Ok(path)
    }

    /// `libcheck_init`, and `libcheck_mp_init` where the host knows it. Whether the path has a
    /// checker.
    pub(super) fn init(&mut self, limit: c_uint) -> Result<bool> {
        let fd = self.file.as_raw_fd();
        let mut checker = Checker::new(self.common.abi, host::class(), fd, limit)?;
        checker.invite_map_value();
        let pointer = checker.as_ptr();
        let plugin = &self.common.plugin;
        // SAFETY: a struct of the plugin's ABI, which is used by this thread alone.
        let alive = faults::inside(|| unsafe {
            let alive = plugin.init(pointer) == 0;
            if alive {
                // A map without memory is no reason to give the path up.
                plugin.mp_init(pointer);
            }
            alive
        });
        harm(&mut checker, "init")?;
        if alive {
            checker.set_msgid(0);
            self.checker = Some(checker);
        } else if !checker.context().is_null() {
            return Err(broken("a failed init left a context"));
        }
        Ok(alive)
    }

    /// What `checker_check` of libmultipath does.
    pub(super) fn check(&mut self) -> Result<c_int> {
        self.ask("check", |plugin, pointer, map| {
            // SAFETY: a struct of the plugin's ABI, which is used by this thread alone.
            unsafe { plugin.check(pointer, map) }.0
        })
    }

    /// What a host does with a path that is pending: it asks for the outcome.
    pub(super) fn collect(&mut self) -> Result<c_int> {
        if self.common.abi == Abi::V0_7_9 {
            return self.check();
        }
        self.ask("pending", |plugin, pointer, map| {
            // SAFETY: as in `check`.
            unsafe { plugin.need_wait(pointer) };
            // SAFETY: as in `check`.
            unsafe { plugin.pending(pointer, map) }.map_or(UNCHECKED, |state| state.0)
        })
    }

    /// A check, and its outcome if that comes within `patience`.
    pub(super) fn verdict(&mut self, patience: Duration) -> Result<c_int> {
        let end = Instant::now() + patience;
        let mut state = self.check()?;
        while state == PENDING && Instant::now() < end {
            std::thread::sleep(Duration::from_micros(200));
            state = self.collect()?;
        }
        Ok(state)
    }

    fn ask(
        &mut self,
        call: &str,
        question: impl FnOnce(&Plugin, *mut std::ffi::c_void, *mut std::ffi::c_void) -> c_int,
    ) -> Result<c_int> {
        let checker = self
            .checker
            .as_mut()
            .ok_or(broken("a path without a checker"))?;
        checker.set_msgid(0);
        let pointer = checker.as_ptr();
        let map = (&raw mut self.map_word).cast();
        let plugin = &self.common.plugin;
        let state = faults::inside(|| question(plugin, pointer, map));
        harm(checker, call)?;
        let id = checker.msgid();
        if id != 0 && plugin.message(id).is_empty() {
            return Err(Trouble::Broken(format!("{call}: message {id} has no text")));
        }
        checker.set_path_state(State(state));
        Ok(state)
    }

    /// A check and a look at it, and nothing else: for threads that may be cancelled.
    pub(super) fn call_bare(&mut self) {
        let Some(checker) = &self.checker else { return };
        let (pointer, map) = (checker.as_ptr(), (&raw mut self.map_word).cast());
        let plugin = &self.common.plugin;
        // SAFETY: as in `check`.
        faults::inside(|| unsafe {
            plugin.check(pointer, map);
            plugin.pending(pointer, map);
        });
    }

    /// [`Path::feed`], for paths of that kind.
    pub(super) fn feed_if(&self, behind: Behind) {
        if self.behind == behind {
            self.feed();
        }
    }

    /// `libcheck_free`, if the path has a checker.
    pub(super) fn free(&mut self) -> Result<()> {
        if let Some(mut checker) = self.checker.take() {
            let pointer = checker.as_ptr();
            let plugin = &self.common.plugin;
            // SAFETY: as in `check`.
            faults::inside(|| unsafe { plugin.free(pointer) });
            harm(&mut checker, "free")?;
        }
        Ok(())
    }

    /// Whether the path has a checker.
    pub(super) fn is_alive(&self) -> bool {
        self.checker.is_some()
    }

    /// A time limit of so many seconds, where it is one of seconds.
    pub(super) fn limit(&self, seconds: c_uint) -> c_uint {
        if self.common.reads && self.common.abi == Abi::V0_7_9 {
            LIMIT
        } else {
            seconds
        }
    }

    /// Whether the device hangs, before [`Path::heal`].
    pub(super) fn hangs(&self) -> bool {
        matches!(self.behind, Behind::Hangs | Behind::InFlight)
    }

    /// Waits until the path's command hangs. A read that is in flight does so at once.
    pub(super) fn until_it_hangs(&self) -> Result<()> {
        if self.behind == Behind::InFlight {
            return Ok(());
        }
        let end = Instant::now() + Duration::from_secs(10);
        while devices::hanging() + faults::submitting() == 0 {
            if Instant::now() > end {
                return Err(broken("a command that hangs was never sent"));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// Lets the device answer from now on.
    pub(super) fn heal(&self) -> Result<()> {
        if !self.common.reads {
            devices::set(self.device, Device::Up);
        } else if self.behind == Behind::InFlight {
            super::host::let_go()?;
        }
        self.feed();
        Ok(())
    }

    /// Puts as much into a pipe as it takes, a block at a time.
    pub(super) fn feed(&self) {
        let block = [0_u8; 4096];
        if let Some(feed) = &self.feed {
            // SAFETY: as many bytes as the block has. The pipe does not wait when it is full.
            while unsafe { libc::write(feed.as_raw_fd(), block.as_ptr().cast(), block.len()) } > 0 {
            }
        }
    }
}

impl Drop for Path<'_> {
    fn drop(&mut self) {
        if !self.common.reads {
            devices::attach(self.file.as_raw_fd(), 0);
        }
    }
}

fn harm(checker: &mut Checker, call: &str) -> Result<()> {
    match checker.harm() {
        None => Ok(()),
        Some(harm) => Err(Trouble::Broken(format!("{call}: {harm}"))),
    }
}

pub(super) fn broken(what: &str) -> Trouble {
    Trouble::Broken(what.to_owned())
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which are ours alone afterwards.
    unsafe {
        harness::os(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC)).doing("pipe")?;
        let [read, write] = ends.map(|fd| OwnedFd::from_raw_fd(fd));
        libc::fcntl(write.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK);
        Ok((read, write))
    }
}

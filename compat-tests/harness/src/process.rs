// SPDX-License-Identifier: LGPL-2.0-or-later

//! Test host processes, as the suites start them.
#![forbid(unsafe_code)]

use crate::abi::Abi;
use crate::ipc::Channel;
use crate::surroundings::Surroundings;
use crate::{Doing, Result, Trouble};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// The host executables, by what they export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostKind {
    /// What 0.7.9 to 0.8.5 export: `dlog` with a sink, no `libmp_verbosity`.
    V0_7_9,
    /// What 0.8.6 to 0.10.x export.
    V0_8_6,
    /// What 0.11.0 to 0.13.x export.
    V0_11,
    /// What 0.14.x export.
    V0_14,
    /// What 0.15.0 exports.
    V0_15,
    /// Nothing of libmultipath, and no interposed function but those that devices need.
    WithoutLibmultipath,
}

impl HostKind {
    /// All of them.
    pub const ALL: [HostKind; 6] = [
        HostKind::V0_7_9,
        HostKind::V0_8_6,
        HostKind::V0_11,
        HostKind::V0_14,
        HostKind::V0_15,
        HostKind::WithoutLibmultipath,
    ];

    /// The executable's name.
    pub fn executable(self) -> &'static str {
        match self {
            HostKind::V0_7_9 => "host-0-7-9",
            HostKind::V0_8_6 => "host-0-8-6",
            HostKind::V0_11 => "host-0-11",
            HostKind::V0_14 => "host-0-14",
            HostKind::V0_15 => "host-0-15",
            HostKind::WithoutLibmultipath => "host-none",
        }
    }

    /// The ABI of its `struct checker`; the oldest for a host without libmultipath, which tells plugins
    /// another one if it wants.
    pub fn abi(self) -> Abi {
        match self {
            HostKind::V0_7_9 | HostKind::V0_8_6 | HostKind::WithoutLibmultipath => Abi::V0_7_9,
            HostKind::V0_11 => Abi::V0_11,
            HostKind::V0_14 => Abi::V0_14,
            HostKind::V0_15 => Abi::V0_15,
        }
    }

    /// The executable, next to this program or, for a test program, one directory above.
    ///
    /// # Errors
    /// When it has not been built.
    pub fn path(self) -> Result<PathBuf> {
        sibling(self.executable())
    }
}

impl From<Abi> for HostKind {
    /// The newest release with this ABI.
    fn from(abi: Abi) -> HostKind {
        match abi {
            Abi::V0_7_9 => HostKind::V0_8_6,
            Abi::V0_11 => HostKind::V0_11,
            Abi::V0_14 => HostKind::V0_14,
            Abi::V0_15 => HostKind::V0_15,
        }
    }
}

/// The program of this name, next to this one or, for a test program, one directory above.
///
/// # Errors
/// When it is not there.
pub fn sibling(name: &str) -> Result<PathBuf> {
    let mut path = std::env::current_exe().doing("finding this executable")?;
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.push(name);
    if path.exists() {
        Ok(path)
    } else {
        Err(Trouble::Broken(format!("{} is missing", path.display())))
    }
}

/// How a test host is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// What the process is to do: its first argument.
    pub role: &'static str,
    /// The libraries and the dynamic linker it runs with, for an upstream plugin.
    pub surroundings: Option<Surroundings>,
    /// A command in front of it, such as a debugging tool with its arguments.
    pub wrapper: Vec<OsString>,
}

impl Launch {
    /// A host of this kind in this role.
    ///
    /// # Errors
    /// When it has not been built.
    pub fn new(kind: HostKind, role: &'static str) -> Result<Launch> {
        Ok(Launch {
            program: kind.path()?,
            role,
            surroundings: None,
            wrapper: Vec::new(),
        })
    }

    /// The same, with the libraries that come with an upstream plugin.
    #[must_use]
    pub fn with(self, surroundings: &Surroundings) -> Launch {
        Launch {
            surroundings: Some(surroundings.clone()),
            ..self
        }
    }

    /// The command that starts it.
    ///
    /// # Errors
    /// When the name of a library directory contains a colon.
    pub fn command(&self) -> Result<Command> {
        let mut words: Vec<&OsStr> = self.wrapper.iter().map(OsString::as_os_str).collect();
        let mut libraries = None;
        if let Some(surroundings) = &self.surroundings {
            let list = std::env::join_paths(&surroundings.libraries)
                .map_err(|error| Trouble::Broken(error.to_string()))?;
            libraries = Some(list);
        }
        let loader = self
            .surroundings
            .as_ref()
            .and_then(|all| all.loader.as_ref());
        if let (Some(loader), Some(libraries)) = (loader, &libraries) {
            words.extend([loader.as_os_str(), OsStr::new("--library-path"), libraries]);
        }
        words.push(self.program.as_os_str());
        words.push(OsStr::new(self.role));
        let mut words = words.into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        if let (None, Some(libraries)) = (loader, &libraries) {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        Ok(command)
    }
}

/// A running test host. Dropping it closes the connection, at which the process ends.
pub struct TestHost {
    process: Child,
    /// `None` once it is closed.
    channel: Option<Channel>,
}

impl TestHost {
    /// Starts a host with a socket as its standard input. Its other streams are as `command` says.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(command: &mut Command) -> Result<TestHost> {
        TestHost::start_with_limit(command, None)
    }

    /// As [`TestHost::start`]; [`TestHost::receive`] fails with `WouldBlock` after this time.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start_with_limit(command: &mut Command, limit: Option<Duration>) -> Result<TestHost> {
        let (this_end, that_end) = UnixStream::pair().doing("making a socket")?;
        this_end
            .set_read_timeout(limit)
            .doing("setting a time limit")?;
        let process = command
            .stdin(Stdio::from(OwnedFd::from(that_end)))
            .spawn()
            .doing("starting a test host")?;
        // The command keeps its end of the socket open, which would hide the end of the process.
        command.stdin(Stdio::null());
        Ok(TestHost {
            process,
            channel: Some(Channel::of(this_end)?),
        })
    }

    fn channel(&mut self) -> std::io::Result<&mut Channel> {
        let closed = || std::io::Error::other("the connection to the host is closed");
        self.channel.as_mut().ok_or_else(closed)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn send<M: Serialize>(&mut self, message: &M) -> std::io::Result<()> {
        self.channel()?.send(message)
    }

    /// The next message; `None` when the process is gone.
    ///
    /// # Errors
    /// As [`Channel::receive`].
    pub fn receive<M: DeserializeOwned>(&mut self) -> std::io::Result<Option<M>> {
        self.channel()?.receive()
    }

    /// Whether a message has come, or comes within this time.
    ///
    /// # Errors
    /// When `poll` fails.
    pub fn wait(&mut self, limit: Duration) -> Result<bool> {
        let channel = self.channel()?;
        let Some(socket) = channel.socket() else {
            return Ok(true);
        };
        let millis = u16::try_from(limit.as_millis()).unwrap_or(u16::MAX);
        let mut fds = [PollFd::new(socket, PollFlags::POLLIN)];
        let ready = poll(&mut fds, PollTimeout::from(millis)).doing("waiting for a test host")?;
        Ok(ready > 0)
    }

    /// The process.
    pub fn process(&mut self) -> &mut Child {
        &mut self.process
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Closes the connection without waiting for the process.
    pub fn close(&mut self) {
        self.channel = None;
    }

    /// Whether the process has left user space for good, although the kernel may keep it for longer.
    pub fn has_left_user_space(&self) -> bool {
        // A process that exits releases its memory first, and its arguments with it.
        std::fs::read(format!("/proc/{}/cmdline", self.id())).is_ok_and(|words| words.is_empty())
    }

    /// Whether the process has ended.
    ///
    /// # Errors
    /// When it ended with an error.
    pub fn has_ended(&mut self) -> Result<bool> {
        match self.process.try_wait().doing("waiting for a test host")? {
            None => Ok(false),
            Some(status) => check(status).map(|()| true),
        }
    }

    /// Where in the kernel the host's first thread waits, innermost function first; empty when it
    /// waits for a message, or the kernel does not tell.
    pub fn kernel_stack(&self) -> String {
        let stack = std::fs::read_to_string(format!("/proc/{}/stack", self.id()));
        let stack = stack.unwrap_or_default();
        // "[<0>] function+0x10/0x20"
        let functions = stack
            .lines()
            .filter_map(|line| line.split_whitespace().nth(1));
        let names = functions.map(|function| function.split('+').next().unwrap_or(function));
        let names: Vec<&str> = names.take(4).collect();
        let idle = names
            .iter()
            .any(|name| name.contains("pipe_read") || name.contains("unix_stream"));
        if idle {
            String::new()
        } else {
            names.join(" < ")
        }
    }

    /// Closes the connection and waits until the process has ended.
    ///
    /// # Errors
    /// When it ended with an error.
    pub fn end(mut self) -> Result<()> {
        self.channel = None;
        check(self.process.wait().doing("waiting for a test host")?)
    }
}

fn check(status: ExitStatus) -> Result<()> {
    if status.success() {
        Ok(())
    } else {
        Err(Trouble::Broken(format!("a test host ended with {status}")))
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        // It ends when its connection does; one that hangs in the kernel is not waited for.
        self.channel = None;
        let _ = self.process.try_wait();
    }
}

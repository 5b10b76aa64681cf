//! Host processes, seen from the program that tells them what to do.

use harness::abi::Abi;
use harness::surroundings::Surroundings;
use harness::{Doing, Result, Trouble};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A running host; it ends when this is dropped.
pub struct Host {
    process: Child,
    /// `None` once it has been told that nothing more will come.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// What a host answered: numbers by name.
#[derive(Clone, Debug, Default)]
pub struct Answer(BTreeMap<String, u64>);

impl Answer {
    /// The number called `name`.
    ///
    /// # Panics
    /// When there is none: the host and its driver come from one build.
    pub fn get(&self, name: &str) -> u64 {
        match self.0.get(name) {
            Some(number) => *number,
            None => panic!("the host answered {self:?}, without {name}"),
        }
    }
}

/// The executable of the host of an ABI, next to this one.
///
/// # Errors
/// When it is not there.
pub fn executable(abi: Abi) -> Result<PathBuf> {
    sibling(match abi {
        Abi::V0_7_9 => "bench-host-b",
        Abi::V0_11 | Abi::V0_14 => "bench-host-c",
        Abi::V0_15 => "bench-host-d",
    })
}

/// The executable of this name, next to this one.
///
/// # Errors
/// When it is not there.
pub fn sibling(name: &str) -> Result<PathBuf> {
    let mut path = std::env::current_exe().doing("finding this executable")?;
    path.pop();
    // Tests live one directory deeper than programs.
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

/// The command that starts a host: `wrapper` goes in front of it. For a C plugin it runs with the
/// libraries that come with the plugin, the C library included.
///
/// # Errors
/// When the executable is not there.
pub fn command(abi: Abi, c_plugin: Option<&Path>, wrapper: &[&str]) -> Result<Command> {
    let mut words: Vec<OsString> = wrapper.iter().map(OsString::from).collect();
    let surroundings = c_plugin.map(Surroundings::of);
    let mut libraries = None;
    if let Some(surroundings) = surroundings {
        let list = std::env::join_paths(&surroundings.libraries)
            .map_err(|error| Trouble::Broken(error.to_string()))?;
        match surroundings.loader {
            Some(loader) => words.extend([loader.into(), "--library-path".into(), list]),
            None => libraries = Some(list),
        }
    }
    words.push(executable(abi)?.into());
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    if let Some(libraries) = libraries {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    Ok(command)
}

impl Host {
    /// Starts a host.
    ///
    /// # Errors
    /// When that fails.
    pub fn start(mut command: Command) -> Result<Host> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .doing("starting a host")?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        match output {
            Some(output) => Ok(Host {
                process,
                input,
                output: BufReader::new(output),
            }),
            None => Err(Trouble::Broken("a host without an output".to_owned())),
        }
    }

    /// Tells the host to do something, and waits until it is done.
    ///
    /// # Errors
    /// When the host could not, or has died.
    pub fn tell(&mut self, line: &str) -> Result<Answer> {
        self.begin(line)?;
        self.end(line)
    }

    /// Tells the host to do something.
    ///
    /// # Errors
    /// When the host has died.
    pub fn begin(&mut self, line: &str) -> Result<()> {
        let Some(input) = &mut self.input else {
            return Err(Trouble::Broken("the host has been dismissed".to_owned()));
        };
        writeln!(input, "{line}").doing("talking to a host")
    }

    /// Whether the host's answer is there, or comes within this time.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn wait(&mut self, limit: Duration) -> Result<bool> {
        let mut output = libc::pollfd {
            fd: self.output.get_ref().as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let millis = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one pollfd of ours.
        let ready = unsafe { libc::poll(&raw mut output, 1, millis) };
        Ok(harness::os(ready).doing("waiting for a host")? > 0)
    }

    /// Waits until the host has done what it was told.
    ///
    /// # Errors
    /// As [`Host::tell`].
    pub fn end(&mut self, line: &str) -> Result<Answer> {
        let mut answer = String::new();
        if self.output.read_line(&mut answer).doing("hearing a host")? == 0 {
            let status = self.process.wait().doing("waiting for a host")?;
            return Err(Trouble::Broken(format!(
                "a host died in {line:?}: {status}"
            )));
        }
        if let Some(why) = answer.strip_prefix("error ") {
            return Err(Trouble::Broken(format!("{line:?}: {}", why.trim())));
        }
        let numbers = answer.split_whitespace().filter_map(|word| {
            let (name, number) = word.split_once('=')?;
            Some((name.to_owned(), number.parse().ok()?))
        });
        Ok(Answer(numbers.collect()))
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Tells the host to end, without waiting for it.
    pub fn send_home(&mut self) {
        self.input = None;
    }

    /// Whether the process has left user space for good: nothing that it could still do, or wait for,
    /// is its own doing. The kernel may keep it for longer.
    pub fn has_left_user_space(&self) -> bool {
        // A process that exits gives up its memory first, and its arguments with it.
        std::fs::read(format!("/proc/{}/cmdline", self.id())).is_ok_and(|words| words.is_empty())
    }

    /// Whether the process is gone.
    ///
    /// # Errors
    /// When the kernel does not say, or it ended with an error.
    pub fn has_ended(&mut self) -> Result<bool> {
        match self.process.try_wait().doing("waiting for a host")? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => Err(Trouble::Broken(format!("a host ended with {status}"))),
        }
    }

    /// Where in the kernel the host's first thread is, the innermost functions first; empty when it is
    /// waiting for something to do, or the kernel does not say.
    pub fn kernel_stack(&self) -> String {
        let stack = std::fs::read_to_string(format!("/proc/{}/stack", self.id()));
        let stack = stack.unwrap_or_default();
        // "[<0>] function+0x10/0x20"
        let functions = stack
            .lines()
            .filter_map(|line| line.split_whitespace().nth(1));
        let names = functions.map(|function| function.split('+').next().unwrap_or(function));
        let names: Vec<&str> = names.take(4).collect();
        match names.iter().any(|name| name.contains("pipe_read")) {
            true => String::new(),
            false => names.join(" < "),
        }
    }

    /// Lets the host end, and waits for it.
    ///
    /// # Errors
    /// When it did not end well.
    pub fn dismiss(mut self) -> Result<()> {
        self.input = None;
        let status = self.process.wait().doing("waiting for a host")?;
        if status.success() {
            Ok(())
        } else {
            Err(Trouble::Broken(format!("a host ended with {status}")))
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Ends when its input does; one that hangs in the kernel is not waited for.
        self.input = None;
        let _ = self.process.try_wait();
    }
}

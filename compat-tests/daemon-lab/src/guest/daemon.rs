// SPDX-License-Identifier: LGPL-2.0-or-later
//! multipathd as a child process, and its command socket.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::daemon_log::DaemonLog;

/// The abstract socket of multipathd, the same in every release.
const SOCKET: &[u8] = b"/org/kernel/linux/storage/multipathd";
/// Longer replies are taken for errors.
const MAX_REPLY: usize = 1 << 20;

pub(super) struct Daemon {
    child: Child,
    log: DaemonLog,
}

impl Daemon {
    /// Starts the daemon in the foreground. Its log is copied to `log`, each line with the seconds
    /// since `start`.
    pub(super) fn start(log: File, start: Instant) -> Result<Daemon> {
        let mut child = Command::new("multipathd")
            // Ticks are logged from level 4 on.
            .args(["-d", "-s", "-v4"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("multipathd")?;
        let stderr = child.stderr.take().context("multipathd has no stderr")?;
        let log = DaemonLog::copy(stderr, log, start);
        Ok(Daemon { child, log })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn log(&self) -> &DaemonLog {
        &self.log
    }

    /// `None` while the daemon runs.
    pub(super) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap_or_default()
    }

    /// For each thread: name, state, and the system call that it is in, with arguments.
    pub(super) fn threads(&self) -> Result<Vec<String>> {
        let mut threads = Vec::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.pid()))? {
            let task = task?.path();
            let read = |name: &str| fs::read_to_string(task.join(name)).unwrap_or_default();
            let status = read("status");
            let state = status.lines().find(|line| line.starts_with("State:"));
            threads.push(format!(
                "{} {} {} call {}",
                task.display(),
                read("comm").trim(),
                state.unwrap_or_default(),
                read("syscall").trim()
            ));
        }
        Ok(threads)
    }

    /// Sends SIGTERM.
    pub(super) fn terminate(&self) -> Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// Sends SIGKILL.
    pub(super) fn kill(&self) -> Result<()> {
        self.signal(Signal::SIGKILL)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid())?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("{signal} to multipathd"))
    }
}

/// Sends one command to the daemon and returns the reply.
///
/// # Errors
/// When there is no daemon or no reply within `limit`.
pub(super) fn send_command(command: &str, limit: Duration) -> Result<String> {
    let address = SocketAddr::from_abstract_name(SOCKET)?;
    let mut socket = UnixStream::connect_addr(&address).context("multipathd's socket")?;
    socket.set_read_timeout(Some(limit))?;
    // Messages in both directions are a length (size_t) and a text that ends with NUL.
    socket.write_all(&(command.len() + 1).to_ne_bytes())?;
    socket.write_all(command.as_bytes())?;
    socket.write_all(&[0])?;
    let mut length = [0; size_of::<usize>()];
    socket.read_exact(&mut length)?;
    let length = usize::from_ne_bytes(length);
    ensure!(length <= MAX_REPLY, "a reply of {length} bytes");
    let mut reply = vec![0; length];
    socket.read_exact(&mut reply)?;
    reply.retain(|&byte| byte != 0);
    Ok(String::from_utf8(reply)?)
}

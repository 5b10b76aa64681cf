//! multipathd as a child process: its command socket, its log with time stamps, its ticks.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait_until;

/// The abstract socket multipathd listens on, in every release.
const SOCKET: &[u8] = b"/org/kernel/linux/storage/multipathd";
/// What the daemon logs about the sampler's questions: ten times a second, and of no use.
const CHATTER: [&str; 4] = [
    "cli[",
    "get_soonest_timeout: ",
    "list paths (operator)",
    "|",
];
/// The largest reply that is believed.
const MAX_REPLY: usize = 1 << 20;
/// How long the rest of the log of a process that has ended may take to be read.
const LOG_LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Daemon {
    child: Child,
    seen: Arc<Mutex<Seen>>,
}

/// What the log has told so far.
#[derive(Default)]
struct Seen {
    /// The log has ended, and with it the process.
    ended: bool,
    last_line: String,
    last_words: Option<Instant>,
    last_tick: Option<Instant>,
    longest_gap: Duration,
    configurations: u32,
    /// The log tells of changes of the daemon's state; that of 0.8.5 does not.
    tells_states: bool,
}

impl Seen {
    fn line(&mut self, line: &str, now: Instant) {
        self.last_words = Some(now);
        line.clone_into(&mut self.last_line);
        if line.contains("tick (") {
            let gap = self.last_tick.map_or(Duration::ZERO, |last| now - last);
            self.longest_gap = self.longest_gap.max(gap);
            self.last_tick = Some(now);
        } else if line.contains("daemon state ") {
            self.tells_states = true;
            self.configurations += u32::from(line.contains("daemon state configure -> "));
        }
    }
}

impl Daemon {
    /// Starts the daemon in the foreground; its log goes to `log`, each line with the
    /// milliseconds since `start`.
    pub(super) fn start(log: File, start: Instant) -> Result<Daemon> {
        let mut child = Command::new("multipathd")
            // Level 4 is the first that logs the ticks.
            .args(["-d", "-s", "-v4"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("multipathd")?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        if let Some(stderr) = child.stderr.take() {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || stamp(stderr, log, start, &seen));
        }
        Ok(Daemon { child, seen })
    }

    /// The daemon's process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How the daemon has ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap_or_default()
    }

    /// The longest time between two ticks so far, the one that is still running included.
    pub(super) fn longest_tick_gap(&self) -> Duration {
        let Ok(seen) = self.seen.lock() else {
            return Duration::MAX;
        };
        let running = seen.last_tick.map_or(Duration::ZERO, |last| last.elapsed());
        seen.longest_gap.max(running)
    }

    /// How often the daemon has finished reading its configuration and setting up the maps; `None` if
    /// its log does not tell.
    pub(super) fn configurations(&self) -> Option<u32> {
        let seen = self.seen.lock().ok()?;
        seen.tells_states.then_some(seen.configurations)
    }

    /// When the daemon, which has ended, logged its last line.
    pub(super) fn last_words(&self) -> Option<Instant> {
        // The process may be gone before the last of its log has been read.
        wait_until(LOG_LIMIT, || self.seen.lock().is_ok_and(|seen| seen.ended));
        self.seen.lock().ok().and_then(|seen| seen.last_words)
    }

    /// The last line of the log so far.
    pub(super) fn last_line(&self) -> String {
        let seen = self.seen.lock();
        seen.map(|seen| seen.last_line.clone()).unwrap_or_default()
    }

    /// What each thread does: its name, its state, the system call it is in with its arguments.
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

    /// Sends SIGTERM, as a service manager does.
    pub(super) fn terminate(&self) -> Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// The last resort of a service manager.
    pub(super) fn kill(&self) -> Result<()> {
        self.signal(Signal::SIGKILL)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid())?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("{signal} to multipathd"))
    }
}

/// Sends one command and returns the reply.
pub(super) fn ask(command: &str, limit: Duration) -> Result<String> {
    let address = SocketAddr::from_abstract_name(SOCKET)?;
    let mut socket = UnixStream::connect_addr(&address).context("multipathd's socket")?;
    socket.set_read_timeout(Some(limit))?;
    // A length (a C size_t) and a text with its final NUL, in both directions.
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

fn stamp(stderr: ChildStderr, mut log: File, start: Instant, seen: &Mutex<Seen>) {
    // The log may hold bytes that are no text: names as a device gives them.
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        let now = Instant::now();
        if let Ok(mut seen) = seen.lock() {
            seen.line(&line, now);
        }
        if CHATTER.iter().any(|talk| line.contains(talk)) {
            continue;
        }
        let at = now.duration_since(start).as_secs_f64();
        // A full disk on the host loses the log, never the run.
        let _ = writeln!(log, "{at:9.3} {line}");
    }
    if let Ok(mut seen) = seen.lock() {
        seen.ended = true;
    }
}

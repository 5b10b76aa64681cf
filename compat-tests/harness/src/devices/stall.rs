//! Files that hang: a small FUSE file system whose reads wait, fail or fall short on command.
//!
//! A file named by a number exists, is 1 MiB long and holds zeros. Reads of a file that is *held*
//! wait until they are answered. The server runs in the runner's process, and the checkers in
//! another one: a process that dies with reads in flight cannot end before they are answered, and
//! so must not be the one that answers them.

use super::mount::Mount;
use crate::{Doing, Result, Trouble};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::c_int;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The size of every file.
pub const FILE_BYTES: u64 = 1 << 20;

/// How a held read ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With what was asked for.
    Data,
    /// With an error, by its `errno`.
    Error(i32),
    /// With this many bytes, fewer than were asked for.
    Short(usize),
}

/// A read that waits.
#[derive(Clone, Copy)]
struct Held {
    unique: u64,
    bytes: usize,
}

#[derive(Default)]
struct State {
    /// The held files, by number, with the reads that wait in them.
    held: BTreeMap<u64, VecDeque<Held>>,
    /// How reads of files that are not held end, where not with data.
    failing: BTreeMap<u64, i32>,
    /// How many reads of each file there were.
    started: BTreeMap<u64, u64>,
}

impl State {
    fn waiting(&self) -> u64 {
        self.held.values().map(|reads| reads.len() as u64).sum()
    }
}

struct Server {
    device: File,
    state: Mutex<State>,
}

/// The mounted file system.
pub struct Stall {
    server: Arc<Server>,
    thread: Option<std::thread::JoinHandle<()>>,
    mount: Option<Mount>,
    control: Mount,
    connection: u32,
}

impl Stall {
    /// Mounts a new one.
    ///
    /// # Errors
    /// [`Trouble::NotHere`] without FUSE or the right to mount.
    pub fn new() -> Result<Stall> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .map_err(|error| Trouble::NotHere(format!("/dev/fuse: {error}")))?;
        let control = Mount::new(c"fusectl", &[], &[])?;
        let mount = Mount::new(
            c"fuse",
            &[
                (c"source", "compat-tests"),
                (c"fd", &device.as_raw_fd().to_string()),
                (c"rootmode", "40000"),
                (c"user_id", "0"),
                (c"group_id", "0"),
            ],
            &[],
        )?;
        let server = Arc::new(Server {
            device,
            state: Mutex::new(State::default()),
        });
        let thread = {
            let server = Arc::clone(&server);
            std::thread::Builder::new()
                .name("stall".to_owned())
                .spawn(move || server.run())
                .doing("starting the FUSE server")?
        };
        let mut stall = Stall {
            server,
            thread: Some(thread),
            mount: Some(mount),
            control,
            connection: 0,
        };
        // From here on a failure must end the server, which dropping `stall` does.
        if let Some(mount) = &stall.mount {
            stall.connection = mount.minor()?;
        }
        Ok(stall)
    }

    /// The path of file `number`.
    pub fn path(&self, number: u64) -> PathBuf {
        self.mount
            .as_ref()
            .map(|mount| mount.path(&number.to_string()))
            .unwrap_or_default()
    }

    /// From now on reads of this file wait.
    pub fn hold(&self, number: u64) {
        self.server.lock().held.entry(number).or_default();
    }

    /// From now on reads of this file end with an error; `None`: with data.
    pub fn fail(&self, number: u64, errno: Option<i32>) {
        let mut state = self.server.lock();
        match errno {
            Some(errno) => state.failing.insert(number, errno),
            None => state.failing.remove(&number),
        };
    }

    /// Answers the oldest `count` reads that wait in this file, which stays held. Says how many
    /// there were.
    ///
    /// # Errors
    /// When the kernel does not take the answer.
    pub fn answer(&self, number: u64, count: usize, answer: Answer) -> Result<u64> {
        let reads: Vec<Held> = {
            let mut state = self.server.lock();
            match state.held.get_mut(&number) {
                Some(queue) => {
                    let count = count.min(queue.len());
                    queue.drain(..count).collect()
                }
                None => Vec::new(),
            }
        };
        for read in &reads {
            self.server
                .end_read(*read, answer)
                .doing("answering a held read")?;
        }
        Ok(reads.len() as u64)
    }

    /// Answers everything that waits in this file and holds it no longer.
    ///
    /// # Errors
    /// As [`Stall::answer`].
    pub fn let_go(&self, number: u64, answer: Answer) -> Result<u64> {
        let count = self.answer(number, usize::MAX, answer)?;
        let late = self.server.lock().held.remove(&number).unwrap_or_default();
        for read in &late {
            self.server
                .end_read(*read, answer)
                .doing("answering a held read")?;
        }
        Ok(count + late.len() as u64)
    }

    /// How many reads wait, once the server has seen all that the kernel has for it.
    ///
    /// # Errors
    /// When the kernel's count and the server's do not meet within five seconds.
    pub fn waiting(&self) -> Result<u64> {
        let path = self.control.path(&format!("{}/waiting", self.connection));
        let start = Instant::now();
        loop {
            let before = self.server.lock().waiting();
            let text = std::fs::read_to_string(&path).doing("asking fusectl")?;
            let kernel = text.trim().parse::<u64>().unwrap_or(u64::MAX);
            let after = self.server.lock().waiting();
            if before == kernel && kernel == after {
                return Ok(kernel);
            }
            if start.elapsed() > Duration::from_secs(5) {
                return Err(Trouble::Broken(format!(
                    "the kernel counts {kernel} FUSE requests, the server holds {after} reads"
                )));
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// How many reads wait in this file.
    pub fn waiting_in(&self, number: u64) -> u64 {
        self.server
            .lock()
            .held
            .get(&number)
            .map_or(0, |reads| reads.len() as u64)
    }

    /// How many reads of this file there have been.
    pub fn started(&self, number: u64) -> u64 {
        self.server
            .lock()
            .started
            .get(&number)
            .copied()
            .unwrap_or(0)
    }

    /// Answers everything that waits and holds no file any more.
    pub fn let_all_go(&self) {
        let held = std::mem::take(&mut self.server.lock().held);
        for read in held.into_values().flatten() {
            // The kernel may have ended the connection: then nothing waits any more.
            let _ = self.server.end_read(read, Answer::Data);
        }
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.let_all_go();
        // Descriptors of checkers may outlive the mount; ending the connection ends their requests,
        // and the server's wait for more.
        let _ = std::fs::write(
            self.control.path(&format!("{}/abort", self.connection)),
            "1",
        );
        self.mount = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

const ENOSYS: i32 = libc::ENOSYS;

/// Opcodes of the FUSE protocol (`linux/fuse.h`).
mod op {
    pub(super) const LOOKUP: u32 = 1;
    pub(super) const FORGET: u32 = 2;
    pub(super) const GETATTR: u32 = 3;
    pub(super) const OPEN: u32 = 14;
    pub(super) const READ: u32 = 15;
    pub(super) const RELEASE: u32 = 18;
    pub(super) const FLUSH: u32 = 25;
    pub(super) const INIT: u32 = 26;
    pub(super) const INTERRUPT: u32 = 36;
    pub(super) const BATCH_FORGET: u32 = 42;
}

/// `FUSE_ROOT_ID`; file `n` is inode `n + FIRST_FILE`.
const ROOT: u64 = 1;
const FIRST_FILE: u64 = 100;
/// `FUSE_ASYNC_READ | FUSE_ASYNC_DIO`: without the second a read submitted by AIO would be waited
/// for inside `io_submit`.
const INIT_FLAGS: u32 = 1 | 1 << 15;
/// `FOPEN_DIRECT_IO`: no read is served from the page cache.
const FOPEN_DIRECT_IO: u32 = 1;
/// How long the kernel may remember names and attributes, in seconds.
const VALID: u64 = 3600;
const IN_HEADER: usize = 40;

/// A reply under construction: little helpers for the kernel's structures.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn u16(mut self, value: u16) -> Bytes {
        self.0.extend(value.to_ne_bytes());
        self
    }
    fn u32(mut self, value: u32) -> Bytes {
        self.0.extend(value.to_ne_bytes());
        self
    }
    fn u64(mut self, value: u64) -> Bytes {
        self.0.extend(value.to_ne_bytes());
        self
    }
    fn zeros(mut self, count: usize) -> Bytes {
        self.0.resize(self.0.len() + count, 0);
        self
    }
    /// `struct fuse_attr`.
    fn attributes(self, inode: u64) -> Bytes {
        let (size, mode, links) = if inode == ROOT {
            (0, libc::S_IFDIR | 0o755, 2)
        } else {
            (FILE_BYTES, libc::S_IFREG | 0o644, 1)
        };
        self.u64(inode)
            .u64(size)
            .u64(size / 512)
            .zeros(3 * 8 + 3 * 4)
            .u32(mode)
            .u32(links)
            .zeros(3 * 4)
            .u32(4096)
            .u32(0)
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes
        .get(offset..offset + 4)
        .and_then(|field| field.try_into().ok())
        .map_or(0, u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    bytes
        .get(offset..offset + 8)
        .and_then(|field| field.try_into().ok())
        .map_or(0, u64::from_ne_bytes)
}

impl Server {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|broken| broken.into_inner())
    }

    /// Serves requests until the connection ends.
    fn run(&self) {
        let mut request = vec![0; 64 * 1024];
        loop {
            match (&self.device).read(&mut request) {
                Ok(length) => {
                    let Some(request) = request.get(..length) else {
                        return;
                    };
                    self.serve(request);
                }
                Err(error) => match error.raw_os_error() {
                    // A request that was taken back, or a signal.
                    Some(libc::ENOENT | libc::EINTR | libc::EAGAIN) => {}
                    _ => return,
                },
            }
        }
    }

    fn serve(&self, request: &[u8]) {
        let unique = u64_at(request, 8);
        let inode = u64_at(request, 16);
        let body = request.get(IN_HEADER..).unwrap_or_default();
        let reply = match u32_at(request, 4) {
            op::INIT => Ok(Bytes::default()
                .u32(7)
                .u32(31)
                .u32(u32_at(body, 8))
                .u32(u32_at(body, 12) & INIT_FLAGS)
                // max_background and congestion_threshold: thousands of reads may hang at once, and
                // none may wait for its turn inside io_submit.
                .u16(u16::MAX)
                .u16(u16::MAX)
                .u32(4096)
                .u32(1)
                .zeros(4 * 8)),
            op::LOOKUP => self.lookup(inode, body),
            op::GETATTR => Ok(Bytes::default().u64(VALID).zeros(8).attributes(inode)),
            op::OPEN => Ok(Bytes::default().u64(0).u32(FOPEN_DIRECT_IO).u32(0)),
            op::READ => {
                self.read(unique, inode, body);
                return;
            }
            op::RELEASE | op::FLUSH => Ok(Bytes::default()),
            op::FORGET | op::BATCH_FORGET | op::INTERRUPT => return,
            _ => Err(ENOSYS),
        };
        // An error here means that the kernel has ended the connection, which `run` will see.
        let _ = match reply {
            Ok(bytes) => self.reply(unique, 0, &bytes.0),
            Err(errno) => self.reply(unique, errno, &[]),
        };
    }

    fn lookup(&self, parent: u64, body: &[u8]) -> std::result::Result<Bytes, c_int> {
        let number = body
            .split(|byte| *byte == 0)
            .next()
            .and_then(|name| std::str::from_utf8(name).ok())
            .and_then(|name| name.parse::<u64>().ok())
            .filter(|_| parent == ROOT)
            .ok_or(libc::ENOENT)?;
        let inode = number.saturating_add(FIRST_FILE);
        Ok(Bytes::default()
            .u64(inode)
            .u64(0)
            .u64(VALID)
            .u64(VALID)
            .zeros(8)
            .attributes(inode))
    }

    fn read(&self, unique: u64, inode: u64, body: &[u8]) {
        let number = inode.saturating_sub(FIRST_FILE);
        let offset = u64_at(body, 8);
        let left = FILE_BYTES.saturating_sub(offset);
        let bytes = u64::from(u32_at(body, 16)).min(left);
        let read = Held {
            unique,
            bytes: usize::try_from(bytes).unwrap_or(0),
        };
        let answer = {
            let mut state = self.lock();
            *state.started.entry(number).or_default() += 1;
            if let Some(queue) = state.held.get_mut(&number) {
                queue.push_back(read);
                return;
            }
            state
                .failing
                .get(&number)
                .map_or(Answer::Data, |errno| Answer::Error(*errno))
        };
        let _ = self.end_read(read, answer);
    }

    fn end_read(&self, read: Held, answer: Answer) -> std::io::Result<()> {
        match answer {
            Answer::Data => self.reply(read.unique, 0, &vec![0; read.bytes]),
            Answer::Short(bytes) => self.reply(read.unique, 0, &vec![0; bytes.min(read.bytes)]),
            Answer::Error(errno) => self.reply(read.unique, errno, &[]),
        }
    }

    fn reply(&self, unique: u64, errno: i32, payload: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(16 + payload.len()).unwrap_or(16);
        let mut message = Bytes::default()
            .u32(length)
            .u32(errno.wrapping_neg() as u32)
            .u64(unique);
        message.0.extend(payload);
        (&self.device).write_all(&message.0)
    }
}

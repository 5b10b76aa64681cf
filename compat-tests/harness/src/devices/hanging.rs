// SPDX-License-Identifier: LGPL-2.0-or-later

//! Files that hang: a small FUSE file system whose reads hang, fail or fall short on command.
//!
//! A file named by a number exists, is 1 MiB long and holds zeros. Reads of a file that is *held*
//! wait until they are answered. The server runs in the suite's process, and the checkers in
//! another one: a process that dies with reads in flight cannot end before they are answered, and
//! so must not be the one that answers them.
#![forbid(unsafe_code)]

use super::mount::Mount;
use crate::{Doing, Result, Trouble};
use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEntry, ReplyOpen,
    Session, SessionACL,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// The size of every file.
const FILE_BYTES: u64 = 1 << 20;

/// How a held read ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// With what was asked for.
    Data,
    /// With an error, by its `errno`.
    Error(i32),
    /// With this many bytes, fewer than were asked for.
    Short(usize),
}

/// A read that waits.
struct Held {
    reply: ReplyData,
    bytes: usize,
}

impl Held {
    fn end(self, answer: Answer) {
        match answer {
            Answer::Data => self.reply.data(&vec![0; self.bytes]),
            Answer::Short(bytes) => self.reply.data(&vec![0; bytes.min(self.bytes)]),
            Answer::Error(errno) => self.reply.error(Errno::from_i32(errno)),
        }
    }
}

#[derive(Default)]
struct State {
    /// The held files, by number, with the reads that wait in them.
    held: BTreeMap<u64, VecDeque<Held>>,
    /// How reads of files that are not held fail, where they do.
    failing: BTreeMap<u64, i32>,
    /// How many reads of each file there were.
    started: BTreeMap<u64, u64>,
}

impl State {
    fn waiting(&self) -> u64 {
        self.held.values().map(|reads| reads.len() as u64).sum()
    }
}

#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

impl Server {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}

/// The mounted file system.
pub struct Hanging {
    server: Server,
    thread: Option<std::thread::JoinHandle<()>>,
    mount: Option<Mount>,
    control: Mount,
    connection: u32,
}

impl Hanging {
    /// Mounts a new one.
    ///
    /// # Errors
    /// [`Trouble::NotHere`] without FUSE or the right to mount.
    pub fn new() -> Result<Hanging> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .map_err(|error| Trouble::NotHere(format!("/dev/fuse: {error}")))?;
        let control = Mount::new(c"fusectl", &[])?;
        let mount = Mount::new(
            c"fuse",
            &[
                (c"source", "compat-tests"),
                (c"fd", &device.as_raw_fd().to_string()),
                (c"rootmode", "40000"),
                (c"user_id", "0"),
                (c"group_id", "0"),
            ],
        )?;
        let server = Server::default();
        let files = server.clone();
        let config = Config::default();
        let session = Session::from_fd(files, device.into(), SessionACL::All, config)
            .doing("starting the FUSE server")?;
        let thread = std::thread::Builder::new()
            .name("hanging".to_owned())
            .spawn(move || drop(session.run()))
            .doing("starting the FUSE server")?;
        let mut hanging = Hanging {
            server,
            thread: Some(thread),
            mount: Some(mount),
            control,
            connection: 0,
        };
        // From here on a failure must end the server, which dropping `hanging` does.
        if let Some(mount) = &hanging.mount {
            hanging.connection = mount.minor()?;
        }
        Ok(hanging)
    }

    /// The path of file `number`.
    pub fn path(&self, number: u64) -> PathBuf {
        let mount = self.mount.as_ref();
        mount.map_or_else(PathBuf::new, |mount| mount.path(&number.to_string()))
    }

    /// From now on reads of this file wait.
    pub fn hold(&self, number: u64) {
        self.server.lock().held.entry(number).or_default();
    }

    /// From now on reads of this file fail; with `None` they succeed.
    pub fn fail(&self, number: u64, errno: Option<i32>) {
        let mut state = self.server.lock();
        match errno {
            Some(errno) => state.failing.insert(number, errno),
            None => state.failing.remove(&number),
        };
    }

    /// Answers the oldest `count` reads that wait in this file, which stays held. Returns how many
    /// there were.
    pub fn answer(&self, number: u64, count: u64, answer: Answer) -> u64 {
        let reads: Vec<Held> = match self.server.lock().held.get_mut(&number) {
            Some(queue) => {
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                queue.drain(..count.min(queue.len())).collect()
            }
            None => Vec::new(),
        };
        end_all(reads, answer)
    }

    /// Answers everything that waits in this file and holds it no longer. Returns how many reads
    /// there were.
    pub fn let_go(&self, number: u64, answer: Answer) -> u64 {
        let reads = self.server.lock().held.remove(&number).unwrap_or_default();
        end_all(reads, answer)
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
        let state = self.server.lock();
        state
            .held
            .get(&number)
            .map_or(0, |reads| reads.len() as u64)
    }

    /// How many reads of this file there have been.
    pub fn started(&self, number: u64) -> u64 {
        let state = self.server.lock();
        state.started.get(&number).copied().unwrap_or(0)
    }

    /// Answers everything that waits and holds no file any more.
    pub fn let_all_go(&self) {
        let held = std::mem::take(&mut self.server.lock().held);
        end_all(held.into_values().flatten(), Answer::Data);
    }
}

fn end_all(reads: impl IntoIterator<Item = Held>, answer: Answer) -> u64 {
    let mut count = 0;
    for read in reads {
        read.end(answer);
        count += 1;
    }
    count
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.let_all_go();
        // Descriptors of checkers may outlive the mount; ending the connection ends their requests,
        // and the server's wait for more.
        let abort = self.control.path(&format!("{}/abort", self.connection));
        let _ = std::fs::write(abort, "1");
        self.mount = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// File `n` is inode `n + FIRST_FILE`.
const FIRST_FILE: u64 = 100;
/// How long the kernel may remember names and attributes.
const VALID: Duration = Duration::from_secs(3600);

fn attributes(inode: INodeNo) -> FileAttr {
    let is_root = inode == INodeNo::ROOT;
    let size = if is_root { 0 } else { FILE_BYTES };
    FileAttr {
        ino: inode,
        size,
        blocks: size / 512,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: if is_root {
            FileType::Directory
        } else {
            FileType::RegularFile
        },
        perm: if is_root { 0o755 } else { 0o644 },
        nlink: if is_root { 2 } else { 1 },
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

impl Filesystem for Server {
    fn init(&mut self, _: &fuser::Request, config: &mut KernelConfig) -> std::io::Result<()> {
        let refused = |_| std::io::Error::other("the kernel lacks what hanging files need");
        // Thousands of reads may hang at once, and none may wait for its turn inside io_submit.
        let _ = config.set_max_background(u16::MAX);
        let _ = config.set_congestion_threshold(u16::MAX);
        // Otherwise io_submit itself would wait for each read.
        config
            .add_capabilities(InitFlags::FUSE_ASYNC_DIO)
            .map_err(refused)
    }

    fn lookup(&self, _: &fuser::Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let number = name.to_str().and_then(|name| name.parse::<u64>().ok());
        match number.filter(|_| parent == INodeNo::ROOT) {
            Some(number) => {
                let inode = INodeNo(number.saturating_add(FIRST_FILE));
                reply.entry(&VALID, &attributes(inode), Generation(0));
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &fuser::Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&VALID, &attributes(inode));
    }

    fn open(&self, _: &fuser::Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // No read is served from the page cache.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &fuser::Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let number = u64::from(inode).saturating_sub(FIRST_FILE);
        let left = FILE_BYTES.saturating_sub(offset);
        let bytes = usize::try_from(u64::from(size).min(left)).unwrap_or(0);
        let read = Held { reply, bytes };
        let mut state = self.lock();
        *state.started.entry(number).or_default() += 1;
        if let Some(queue) = state.held.get_mut(&number) {
            queue.push_back(read);
            return;
        }
        let errno = state.failing.get(&number).copied();
        drop(state);
        read.end(errno.map_or(Answer::Data, Answer::Error));
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! A file system whose files stall like a dead device, until it is dropped.

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEntry, ReplyOpen,
    Request,
};
use std::any::Any;
use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// The files; each stalls at what it is named for.
const FILES: [&str; 4] = ["sound", "read", "open", "lookup"];

/// A mounted file system. Dropping it fails everything that is stalled, so that nothing is left.
pub(crate) struct Stalled {
    mount: tempfile::TempDir,
    stalled: Kept,
    session: Option<fuser::BackgroundSession>,
}

/// Requests without a reply; `None` when all get one at once. Dropping one replies with an
/// error.
type Kept = Arc<Mutex<Option<Vec<Box<dyn Any + Send>>>>>;

impl Stalled {
    /// Mounts the file system. Without `asynchronous`, a read that stalls blocks its submitter too.
    pub(crate) fn mount(asynchronous: bool) -> Stalled {
        let mount = tempfile::tempdir().unwrap();
        let stalled = Kept::new(Mutex::new(Some(Vec::new())));
        let files = Files {
            asynchronous,
            stalled: Arc::clone(&stalled),
        };
        let session = fuser::spawn_mount(files, mount.path(), &Config::default()).unwrap();
        Stalled {
            mount,
            stalled,
            session: Some(session),
        }
    }

    /// The path of a file of [`FILES`].
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        assert!(FILES.contains(&name));
        self.mount.path().join(name)
    }

    /// How many requests are stalled.
    pub(crate) fn count(&self) -> usize {
        self.stalled.lock().unwrap().as_ref().map_or(0, Vec::len)
    }

    /// Fails everything that is stalled, and whatever would be from now on.
    pub(crate) fn release(&self) {
        *self.stalled.lock().unwrap() = None;
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        self.release();
        // The mount is busy until the stalled processes have ended.
        let unmounted = || {
            let mut umount = Command::new("umount");
            let status = umount.arg(self.mount.path()).stderr(Stdio::null()).status();
            status.is_ok_and(|status| status.success())
        };
        let give_up = Instant::now() + Duration::from_secs(20);
        while !unmounted() {
            if Instant::now() > give_up {
                eprintln!("{} stays mounted", self.mount.path().display());
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        if let Some(session) = self.session.take() {
            let _ = session.join();
        }
    }
}

struct Files {
    asynchronous: bool,
    stalled: Kept,
}

impl Files {
    fn keep(&self, reply: impl Any + Send) {
        if let Some(stalled) = self.stalled.lock().unwrap().as_mut() {
            stalled.push(Box::new(reply));
        }
    }
}

const ROOT: u64 = 1;
const TTL: Duration = Duration::from_secs(60);

fn attributes(inode: u64) -> FileAttr {
    let (kind, perm) = match inode {
        ROOT => (FileType::Directory, 0o755),
        _ => (FileType::RegularFile, 0o644),
    };
    FileAttr {
        ino: INodeNo(inode),
        size: 1 << 20,
        blocks: 1 << 11,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

/// The file's name by its inode.
fn name(inode: INodeNo) -> Option<&'static str> {
    let index = u64::from(inode).checked_sub(ROOT + 1)?;
    FILES.get(index as usize).copied()
}

impl Filesystem for Files {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Beyond this number of requests the kernel makes submitters wait, as for a full queue.
        config.set_max_background(u16::MAX).unwrap();
        if self.asynchronous {
            config.add_capabilities(InitFlags::FUSE_ASYNC_DIO).unwrap();
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match FILES.iter().position(|file| OsStr::new(file) == name) {
            Some(_) if name == "lookup" => self.keep(reply),
            Some(index) => reply.entry(&TTL, &attributes(index as u64 + ROOT + 1), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &attributes(inode.into()));
    }

    fn open(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match name(inode) {
            Some("open") => self.keep(reply),
            _ => reply.opened(FileHandle(0), FopenFlags::empty()),
        }
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        _: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match name(inode) {
            Some("read") => self.keep(reply),
            _ => reply.data(&vec![0; size as usize]),
        }
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later

//! The devices of one scenario, made on request and gone afterwards.
//!
//! Nothing here outlives the process, even one that is killed: mounts are detached, loop devices
//! detach themselves, image files have no name. Only scratch directories next to the executable
//! can be left behind by a kill.

pub mod hanging;
pub mod loops;
pub mod mount;
pub mod request;

use crate::{Doing, Result, Trouble};
use hanging::Hanging;
use loops::{Loop, Shape};
use mount::Mount;
use request::FileSystem;
use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Distinguishes the scratch directories of one process.
static SERIAL: AtomicU32 = AtomicU32::new(0);

/// A loop device over a file that can hang.
struct HangingLoop {
    device: Loop,
    file: u64,
}

/// What one test has asked for.
#[derive(Default)]
pub struct Devices {
    // The order of the fields is the order of their end: nothing may hang when a loop device goes.
    hanging_loops: Vec<HangingLoop>,
    mounts: Vec<(FileSystem, Mount)>,
    loops: Vec<Loop>,
    hanging: Option<Arc<Hanging>>,
    scratch: Option<Scratch>,
}

/// A directory that is removed with all that is in it.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        self.let_all_go();
    }
}

impl Devices {
    /// Answers all reads that hang, so that the process that submitted them can end.
    pub fn let_all_go(&self) {
        if let Some(hanging) = &self.hanging {
            hanging.let_all_go();
        }
    }

    fn scratch(&mut self) -> Result<&Path> {
        let scratch = match self.scratch.take() {
            Some(scratch) => scratch,
            None => {
                // Next to the executable rather than in /tmp: that is often a tmpfs.
                let near = std::env::current_exe().doing("finding this executable")?;
                let near = near.parent().unwrap_or(Path::new("/tmp"));
                let path = near.join(format!(
                    "compat-scratch-{}-{}",
                    std::process::id(),
                    SERIAL.fetch_add(1, Ordering::Relaxed)
                ));
                std::fs::create_dir(&path).doing("making a scratch directory")?;
                Scratch(path)
            }
        };
        Ok(&self.scratch.insert(scratch).0)
    }

    /// A file of this size without a name, on the disk.
    fn image(&mut self, bytes: u64) -> Result<File> {
        let path = self.scratch()?.join("image");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .doing("making an image file")?;
        std::fs::remove_file(&path).doing("removing an image file's name")?;
        file.set_len(bytes).doing("sizing an image file")?;
        Ok(file)
    }

    /// A loop device over a file of zeros.
    ///
    /// # Errors
    /// [`Trouble::NotHere`] when the kernel does not allow the shape.
    pub fn loop_device(&mut self, bytes: u64, shape: Shape) -> Result<PathBuf> {
        let image = self.image(bytes)?;
        let device = Loop::attach(image.as_fd(), shape)?;
        let path = device.path();
        self.loops.push(device);
        settle_udev();
        Ok(path)
    }

    /// The root of a file system.
    ///
    /// # Errors
    /// [`Trouble::NotHere`] when the kernel or a program for it is missing.
    pub fn file_system(&mut self, kind: FileSystem) -> Result<PathBuf> {
        if let Some((_, mount)) = self.mounts.iter().find(|(one, _)| *one == kind) {
            return Ok(mount.path(""));
        }
        let mount = match kind {
            FileSystem::Disk => return Ok(self.scratch()?.to_owned()),
            FileSystem::Tmpfs => Mount::new(c"tmpfs", &[])?,
            FileSystem::Ramfs => Mount::new(c"ramfs", &[])?,
            FileSystem::Ext4 => {
                let device = self.formatted("mkfs.ext4", &["-q", "-F"], 16 << 20)?;
                Mount::new(c"ext4", &[(c"source", &device)])?
            }
            FileSystem::Xfs => {
                let device = self.formatted("mkfs.xfs", &["-q", "-f"], 300 << 20)?;
                Mount::new(c"xfs", &[(c"source", &device)])?
            }
        };
        let path = mount.path("");
        self.mounts.push((kind, mount));
        Ok(path)
    }

    /// A loop device with a new file system on it.
    fn formatted(&mut self, program: &str, options: &[&str], bytes: u64) -> Result<String> {
        let device = self.loop_device(bytes, Shape::new(512))?;
        let status = Command::new(program)
            .args(options)
            .arg(&device)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .map_err(|error| Trouble::NotHere(format!("{program}: {error}")))?;
        if !status.success() {
            return Err(Trouble::Broken(format!("{program}: {status}")));
        }
        Ok(device.to_string_lossy().into_owned())
    }

    /// The files that can hang.
    ///
    /// # Errors
    /// [`Trouble::NotHere`] without FUSE.
    pub fn hanging(&mut self) -> Result<&Arc<Hanging>> {
        let hanging = match self.hanging.take() {
            Some(hanging) => hanging,
            None => Arc::new(Hanging::new()?),
        };
        Ok(self.hanging.insert(hanging))
    }

    /// A loop device over a file that can hang.
    ///
    /// # Errors
    /// [`Trouble::NotHere`] without FUSE or loop devices.
    pub fn hanging_loop(&mut self, file: u64, block: u32) -> Result<PathBuf> {
        let backing = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_DIRECT)
            .open(self.hanging()?.path(file))
            .doing("opening a file that can hang")?;
        // Past the page cache, so that every read of the device is a read of the file.
        let device = Loop::attach(backing.as_fd(), Shape::new(block).direct())?;
        let path = device.path();
        self.hanging_loops.push(HangingLoop { device, file });
        settle_udev();
        Ok(path)
    }

    /// How many reads of the test the kernel has not answered, wherever they wait.
    ///
    /// # Errors
    /// When the kernel's counters do not agree within five seconds.
    pub fn in_flight(&mut self) -> Result<u64> {
        let Some(hanging) = &self.hanging else {
            return Ok(0);
        };
        let start = Instant::now();
        loop {
            let waiting = hanging.waiting()?;
            // Requests of a loop device reach the file a moment after they were submitted.
            let mut settled = true;
            for HangingLoop { device, file } in &self.hanging_loops {
                settled &= device.in_flight()? == hanging.waiting_in(*file);
            }
            if settled {
                return Ok(waiting);
            }
            if start.elapsed() > Duration::from_secs(5) {
                return Err(Trouble::Broken(
                    "a loop device and its file disagree about what is in flight".to_owned(),
                ));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Where udev runs, it reads from every new block device: waits until it is done, so that its reads
/// are not taken for a checker's.
fn settle_udev() {
    if Path::new("/run/udev/control").exists() {
        let _ = Command::new("udevadm")
            .args(["settle", "--timeout=10"])
            .stdin(Stdio::null())
            .status();
    }
}

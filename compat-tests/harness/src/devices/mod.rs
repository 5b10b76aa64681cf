//! The devices of one scenario, made on request and gone afterwards.
//!
//! Nothing here outlives the process, even one that is killed: mounts are detached, loop devices
//! detach themselves, image files have no name. Only scratch directories next to the executable
//! can be left behind by a kill.

pub mod loops;
pub mod mount;
pub mod stall;

use crate::{Doing, Result, Trouble};
use loops::{Loop, Shape};
use mount::Mount;
use stall::{Answer, Stall};
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
struct StallLoop {
    device: Loop,
    file: u64,
}

/// What one host process has asked for.
#[derive(Default)]
pub struct Lab {
    // The order of the fields is the order of their end: nothing may hang when a loop device goes.
    stall_loops: Vec<StallLoop>,
    mounts: Vec<(String, Mount)>,
    loops: Vec<Loop>,
    stall: Option<Arc<Stall>>,
    scratch: Option<Scratch>,
}

/// A directory that is removed with all that is in it.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.let_all_go();
    }
}

/// Bytes as they are written in requests.
fn number<T: std::str::FromStr>(word: &str) -> Result<T> {
    word.parse()
        .map_err(|_| Trouble::Broken(format!("{word:?} is no number that fits")))
}

/// How a read is to end, as requests write it: `data`, `error:N`, `short:N`.
fn answer(word: &str) -> Result<Answer> {
    match word.split_once(':') {
        None if word == "data" => Ok(Answer::Data),
        Some(("error", errno)) => Ok(Answer::Error(number(errno)?)),
        Some(("short", bytes)) => Ok(Answer::Short(number(bytes)?)),
        _ => Err(Trouble::Broken(format!("{word:?} is no answer"))),
    }
}

impl Lab {
    /// Does what a host process asks for; the answer is a list of words.
    ///
    /// # Errors
    /// [`Trouble::NotHere`] when this machine cannot.
    pub fn serve(&mut self, request: &[String]) -> Result<Vec<String>> {
        let words: Vec<&str> = request.iter().map(String::as_str).collect();
        let path = |path: PathBuf| Ok(vec![path.to_string_lossy().into_owned()]);
        let count = |count: u64| Ok(vec![count.to_string()]);
        let nothing = Ok(Vec::new());
        match *words.as_slice() {
            ["scratch"] => path(self.scratch()?.to_owned()),
            ["file-system", kind] => path(self.file_system(kind)?),
            ["loop", bytes, block, soft_block, read_only] => path(self.loop_device(
                number(bytes)?,
                Shape {
                    block: number(block)?,
                    soft_block: number(soft_block)?,
                    read_only: read_only == "ro",
                    direct: false,
                },
            )?),
            ["stall-file", file] => path(self.stall()?.path(number(file)?)),
            ["stall-loop", file, block] => path(self.stall_loop(number(file)?, number(block)?)?),
            ["hold", file] => {
                self.stall()?.hold(number(file)?);
                nothing
            }
            ["fail", file, errno] => {
                let errno = number(errno)?;
                self.stall()?
                    .fail(number(file)?, (errno != 0).then_some(errno));
                nothing
            }
            ["answer", file, how_many, how] => count(self.stall()?.answer(
                number(file)?,
                number(how_many)?,
                answer(how)?,
            )?),
            ["let-go", file, how] => count(self.stall()?.let_go(number(file)?, answer(how)?)?),
            ["let-go-later", millis, file, how] => {
                let (millis, file, how) = (number(millis)?, number(file)?, answer(how)?);
                let stall = Arc::clone(self.stall()?);
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(millis));
                    // Fails only when the scenario has ended first.
                    let _ = stall.let_go(file, how);
                });
                nothing
            }
            ["waiting"] => count(self.waiting()?),
            ["started", file] => count(self.stall()?.started(number(file)?)),
            _ => Err(Trouble::Broken(format!(
                "the lab does not know {:?}",
                words.join(" ")
            ))),
        }
    }

    /// Answers all reads that hang, so that the process that submitted them can end.
    pub fn let_all_go(&self) {
        if let Some(stall) = &self.stall {
            stall.let_all_go();
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

    fn loop_device(&mut self, bytes: u64, shape: Shape) -> Result<PathBuf> {
        let image = self.image(bytes)?;
        let device = Loop::attach(image.as_fd(), shape)?;
        let path = device.path();
        self.loops.push(device);
        settle_udev();
        Ok(path)
    }

    fn file_system(&mut self, kind: &str) -> Result<PathBuf> {
        if kind == "disk" {
            return Ok(self.scratch()?.to_owned());
        }
        if let Some((_, mount)) = self.mounts.iter().find(|(name, _)| name == kind) {
            return Ok(mount.path(""));
        }
        let mount = match kind {
            "tmpfs" => Mount::new(c"tmpfs", &[], &[])?,
            "ramfs" => Mount::new(c"ramfs", &[], &[])?,
            "ext4" => {
                let device = self.formatted("mkfs.ext4", &["-q", "-F"], 16 << 20)?;
                Mount::new(c"ext4", &[(c"source", &device)], &[])?
            }
            "xfs" => {
                let device = self.formatted("mkfs.xfs", &["-q", "-f"], 300 << 20)?;
                Mount::new(c"xfs", &[(c"source", &device)], &[])?
            }
            _ => return Err(Trouble::Broken(format!("no file system {kind}"))),
        };
        let path = mount.path("");
        self.mounts.push((kind.to_owned(), mount));
        Ok(path)
    }

    /// A loop device with a new file system on it.
    fn formatted(&mut self, program: &str, options: &[&str], bytes: u64) -> Result<String> {
        let shape = Shape {
            block: 512,
            soft_block: 0,
            read_only: false,
            direct: false,
        };
        let device = self.loop_device(bytes, shape)?;
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

    fn stall(&mut self) -> Result<&Arc<Stall>> {
        let stall = match self.stall.take() {
            Some(stall) => stall,
            None => Arc::new(Stall::new()?),
        };
        Ok(self.stall.insert(stall))
    }

    fn stall_loop(&mut self, file: u64, block: u32) -> Result<PathBuf> {
        let backing = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_DIRECT)
            .open(self.stall()?.path(file))
            .doing("opening a file that can hang")?;
        // Past the page cache, so that every read of the device is a read of the file.
        let shape = Shape {
            block,
            soft_block: 0,
            read_only: false,
            direct: true,
        };
        let device = Loop::attach(backing.as_fd(), shape)?;
        let path = device.path();
        self.stall_loops.push(StallLoop { device, file });
        settle_udev();
        Ok(path)
    }

    /// How many reads of the scenario the kernel has not answered, wherever they wait.
    fn waiting(&mut self) -> Result<u64> {
        if self.stall.is_none() {
            return Ok(0);
        }
        let start = Instant::now();
        loop {
            let waiting = self.stall()?.waiting()?;
            // Requests of a loop device reach the file a moment after they were submitted.
            let mut settled = true;
            for StallLoop { device, file } in &self.stall_loops {
                let stall = self.stall.as_ref();
                let held = stall.map_or(0, |stall| stall.waiting_in(*file));
                settled &= device.in_flight()? == held;
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

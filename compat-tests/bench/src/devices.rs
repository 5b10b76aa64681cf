//! Loop devices, and files and loop devices that hang and fail on command, of the driver's process.

#![forbid(unsafe_code)]

use harness::devices::Lab;
use harness::{Result, Trouble};
use std::path::PathBuf;

/// How pending reads of a file that hangs end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// With data.
    Data,
    /// With `EIO`.
    Error,
}

/// Devices of one test. All are gone when this is dropped.
#[derive(Default)]
pub struct Devices(Lab);

impl Devices {
    /// A loop device of 1 MiB over a file in the page cache.
    ///
    /// # Errors
    /// When this machine has none, or the caller is not root; likewise below.
    pub fn loop_device(&mut self) -> Result<PathBuf> {
        self.ask("loop 1048576 512 0 rw").map(PathBuf::from)
    }

    /// File number `file`, whose reads can be held.
    ///
    /// # Errors
    /// As above.
    pub fn stalling_file(&mut self, file: usize) -> Result<PathBuf> {
        self.ask(&format!("stall-file {file}")).map(PathBuf::from)
    }

    /// A loop device over file number `file`.
    ///
    /// # Errors
    /// As above.
    pub fn stalling_loop(&mut self, file: usize) -> Result<PathBuf> {
        self.ask(&format!("stall-loop {file} 512"))
            .map(PathBuf::from)
    }

    /// From now on reads of the file hang.
    ///
    /// # Errors
    /// When there is no such file; likewise below.
    pub fn hold(&mut self, file: usize) -> Result<()> {
        self.ask(&format!("hold {file}")).map(drop)
    }

    /// Ends the reads that hang, and holds none any more.
    ///
    /// # Errors
    /// As above.
    pub fn release(&mut self, file: usize, how: Release) -> Result<()> {
        let how = match how {
            Release::Data => "data".to_owned(),
            Release::Error => format!("error:{}", libc::EIO),
        };
        self.ask(&format!("let-go {file} {how}")).map(drop)
    }

    /// From now on reads that are not held fail with `EIO`, or succeed.
    ///
    /// # Errors
    /// As above.
    pub fn fail(&mut self, file: usize, fails: bool) -> Result<()> {
        let errno = if fails { libc::EIO } else { 0 };
        self.ask(&format!("fail {file} {errno}")).map(drop)
    }

    /// Ends all reads that hang, so that the processes that submitted them can end.
    pub fn release_all(&self) {
        self.0.let_all_go();
    }

    /// How many reads hang.
    ///
    /// # Errors
    /// When the kernel and the file server do not agree within seconds.
    pub fn waiting(&mut self) -> Result<u64> {
        let count = self.ask("waiting")?;
        count
            .parse()
            .map_err(|_| Trouble::Broken(format!("{count:?} is no number")))
    }

    fn ask(&mut self, request: &str) -> Result<String> {
        let words: Vec<String> = request.split(' ').map(str::to_owned).collect();
        let reply = self.0.serve(&words)?;
        Ok(reply.into_iter().next().unwrap_or_default())
    }
}

//! Loop devices, and files and loop devices that hang and fail on command, of the driver's process.

#![forbid(unsafe_code)]

use harness::Result;
use harness::devices::hanging::Answer;
use harness::devices::loops::Shape;
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
pub struct Devices(harness::devices::Devices);

impl Devices {
    /// A loop device of 1 MiB over a file in the page cache.
    ///
    /// # Errors
    /// When this machine has none, or the caller is not root; likewise below.
    pub fn loop_device(&mut self) -> Result<PathBuf> {
        self.0.loop_device(1 << 20, Shape::new(512))
    }

    /// File number `file`, whose reads can be held.
    ///
    /// # Errors
    /// As above.
    pub fn stalling_file(&mut self, file: usize) -> Result<PathBuf> {
        Ok(self.0.hanging()?.path(file as u64))
    }

    /// A loop device over file number `file`.
    ///
    /// # Errors
    /// As above.
    pub fn stalling_loop(&mut self, file: usize) -> Result<PathBuf> {
        self.0.hanging_loop(file as u64, 512)
    }

    /// From now on reads of the file hang.
    ///
    /// # Errors
    /// When there is no such file; likewise below.
    pub fn hold(&mut self, file: usize) -> Result<()> {
        self.0.hanging()?.hold(file as u64);
        Ok(())
    }

    /// Ends the reads that hang, and holds none any more.
    ///
    /// # Errors
    /// As above.
    pub fn release(&mut self, file: usize, how: Release) -> Result<()> {
        let how = match how {
            Release::Data => Answer::Data,
            Release::Error => Answer::Error(libc::EIO),
        };
        self.0.hanging()?.let_go(file as u64, how);
        Ok(())
    }

    /// From now on reads that are not held fail with `EIO`, or succeed.
    ///
    /// # Errors
    /// As above.
    pub fn fail(&mut self, file: usize, fails: bool) -> Result<()> {
        let errno = fails.then_some(libc::EIO);
        self.0.hanging()?.fail(file as u64, errno);
        Ok(())
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
        self.0.in_flight()
    }
}

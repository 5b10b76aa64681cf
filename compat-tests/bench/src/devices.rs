// SPDX-License-Identifier: LGPL-2.0-or-later

//! The devices of a driver: loop devices, and files and loop devices that hang and fail on command.

#![forbid(unsafe_code)]

use harness::Result;
use harness::devices::hanging::Answer;
use harness::devices::loops::Shape;
use std::path::PathBuf;

/// How reads that hang end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// With data.
    Data,
    /// With `EIO`.
    Error,
}

/// Devices of one test, with files named by numbers. All are gone when this is dropped.
///
/// Every function fails when this machine has no such devices, or the caller is not root.
#[derive(Default)]
pub struct Devices(harness::devices::Devices);

/// The logical block size of loop devices.
const BLOCK: u32 = 512;

impl Devices {
    /// A loop device of 1 MiB over a file in the page cache.
    pub fn loop_device(&mut self) -> Result<PathBuf> {
        self.0.loop_device(1 << 20, Shape::new(BLOCK))
    }

    /// A file that can hang.
    pub fn stalling_file(&mut self, file: usize) -> Result<PathBuf> {
        Ok(self.0.hanging()?.path(file as u64))
    }

    /// A loop device over a file that can hang.
    pub fn stalling_loop(&mut self, file: usize) -> Result<PathBuf> {
        self.0.hanging_loop(file as u64, BLOCK)
    }

    /// From now on reads of the file hang.
    pub fn hold(&mut self, file: usize) -> Result<()> {
        self.0.hanging()?.hold(file as u64);
        Ok(())
    }

    /// Ends the reads that hang, and holds none any more.
    pub fn release(&mut self, file: usize, how: Release) -> Result<()> {
        let answer = match how {
            Release::Data => Answer::Data,
            Release::Error => Answer::Error(libc::EIO),
        };
        self.0.hanging()?.let_go(file as u64, answer);
        Ok(())
    }

    /// From now on reads that are not held fail with `EIO`, or succeed.
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
    pub fn waiting(&mut self) -> Result<u64> {
        self.0.in_flight()
    }
}

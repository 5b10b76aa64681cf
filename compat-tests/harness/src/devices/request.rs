// SPDX-License-Identifier: LGPL-2.0-or-later

//! Requests for devices, as test hosts send them to the process that makes them.
#![forbid(unsafe_code)]

use super::Devices;
use super::hanging::Answer;
use super::loops::Shape;
use crate::Result;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// A kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileSystem {
    /// Whatever the build directory is on.
    Disk,
    /// ext4 on a loop device.
    Ext4,
    /// xfs on a loop device.
    Xfs,
    /// tmpfs.
    Tmpfs,
    /// ramfs.
    Ramfs,
}

/// A request. Files that hang are named by numbers; see [`super::hanging`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// The root of a file system.
    FileSystem(FileSystem),
    /// A loop device over a file of zeros.
    Loop {
        /// The file's size.
        bytes: u64,
        /// What the device is to be like.
        shape: Shape,
    },
    /// A file that can hang.
    HangingFile(u64),
    /// A loop device over a file that can hang.
    HangingLoop {
        /// The file.
        file: u64,
        /// The logical block size in bytes.
        block: u32,
    },
    /// Reads of the file hang from now on.
    Hold(u64),
    /// Reads of the file that do not hang fail from now on, or succeed.
    Fail {
        /// The file.
        file: u64,
        /// With what they fail.
        errno: Option<i32>,
    },
    /// Ends the oldest reads of the file that hang. Replies with how many there were.
    Answer {
        /// The file.
        file: u64,
        /// How many at most.
        count: u64,
        /// How they end.
        how: Answer,
    },
    /// Ends all reads of the file that hang; later ones do not. Replies with how many there were.
    LetGo {
        /// The file.
        file: u64,
        /// How they end.
        how: Answer,
    },
    /// The same after a while.
    LetGoLater {
        /// The time from now.
        after: Duration,
        /// The file.
        file: u64,
        /// How they end.
        how: Answer,
    },
    /// How many reads hang, in all files and devices.
    InFlight,
    /// How many reads of the file there have been.
    Started(u64),
}

/// The reply to a request that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Nothing more to say.
    Done,
    /// Where the file or device is.
    Path(PathBuf),
    /// A number.
    Count(u64),
}

impl Devices {
    /// Carries out a request.
    ///
    /// # Errors
    /// [`crate::Trouble::NotHere`] when this machine cannot.
    pub fn serve(&mut self, request: Request) -> Result<Reply> {
        let path = Reply::Path;
        Ok(match request {
            Request::FileSystem(kind) => path(self.file_system(kind)?),
            Request::Loop { bytes, shape } => path(self.loop_device(bytes, shape)?),
            Request::HangingFile(file) => path(self.hanging()?.path(file)),
            Request::HangingLoop { file, block } => path(self.hanging_loop(file, block)?),
            Request::Hold(file) => {
                self.hanging()?.hold(file);
                Reply::Done
            }
            Request::Fail { file, errno } => {
                self.hanging()?.fail(file, errno);
                Reply::Done
            }
            Request::Answer { file, count, how } => {
                Reply::Count(self.hanging()?.answer(file, count, how))
            }
            Request::LetGo { file, how } => Reply::Count(self.hanging()?.let_go(file, how)),
            Request::LetGoLater { after, file, how } => {
                let hanging = std::sync::Arc::clone(self.hanging()?);
                std::thread::spawn(move || {
                    std::thread::sleep(after);
                    hanging.let_go(file, how);
                });
                Reply::Done
            }
            Request::InFlight => Reply::Count(self.in_flight()?),
            Request::Started(file) => Reply::Count(self.hanging()?.started(file)),
        })
    }
}

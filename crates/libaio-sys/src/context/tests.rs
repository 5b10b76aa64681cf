// SPDX-License-Identifier: LGPL-2.0-or-later

//! The context on the running kernel.

#![forbid(unsafe_code)]

mod completions;
mod memory;
mod ownership;

use super::*;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);

/// A file of `size` bytes without a name.
fn file(size: u64) -> File {
    let path = std::env::temp_dir().join(format!(
        "libaio-sys-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let file = File::create_new(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.set_len(size).unwrap();
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap()
}

impl Context {
    /// Starts a request that completes when there is something to read from `fd`: it hangs for as long as
    /// the test wants. It has a buffer, though the kernel does not write to it.
    fn submit_poll(&mut self, fd: RawFd, token: u64) -> Result<(), Errno> {
        if let Some(missing) = self.missing(4096)? {
            self.supply(missing.map()?);
        }
        let submitted = self.begin_read(4096, token)?.submit_poll(fd);
        self.settle(submitted)
    }

    /// [`Context::begin_read`] with the memory that is missing for it.
    fn begin(&mut self, length: usize, token: u64) -> Submission {
        if let Some(missing) = self.missing(length).unwrap() {
            assert!(self.supply(missing.map().unwrap()).is_none());
        }
        self.begin_read(length, token).unwrap()
    }

    fn unmap_unused(&mut self) {
        while self.take_unused().is_some() {}
    }

    /// As if the kernel's ring were not understood.
    fn without_ring(mut self) -> Context {
        self.kernel.forget_ring();
        self
    }

    /// Everything that completes until nothing is in flight, by waiting for it.
    fn finish_all(&mut self) -> Vec<Completion> {
        let mut seen = Vec::new();
        let give_up = Instant::now() + LONG;
        while self.in_flight() > 0 {
            assert!(Instant::now() < give_up, "still in flight after {LONG:?}");
            let waiter = self.waiter();
            let events = waiter.wait(Duration::from_millis(100)).unwrap();
            self.accept(events, |completion| seen.push(completion));
            self.release(waiter);
        }
        seen
    }
}

fn reaped(context: &mut Context) -> Vec<Completion> {
    let mut seen = Vec::new();
    let count = context.reap(|completion| seen.push(completion)).unwrap();
    assert_eq!(count, seen.len());
    seen
}

fn completion(token: u64, res: i64) -> Completion {
    Completion {
        token,
        res,
        res2: 0,
    }
}

// SPDX-License-Identifier: LGPL-2.0-or-later
//! The load: verified writes and reads through the multipath map, none of which may fail.
//!
//! A block holds its number and the count of the write, repeated, so that a read shows which write
//! it returns. With O_DIRECT every operation reaches a path.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;

use super::wait::wait_until;

const BLOCK: usize = 4096;
/// The number of blocks in use: 16 MiB of the disk.
const BLOCKS: u64 = 4096;
const PAUSE: Duration = Duration::from_millis(20);

#[repr(align(4096))]
struct Block([u8; BLOCK]);

/// A load that a thread runs until [`Load::stop`].
pub(super) struct Load {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    pause: AtomicBool,
    ended: AtomicBool,
    verified: AtomicU64,
    timing: Mutex<Timing>,
    errors: Mutex<Vec<String>>,
}

#[derive(Clone, Copy, Default)]
struct Timing {
    /// When the operation in flight began.
    begin: Option<Instant>,
    /// The longest time of an operation that has ended.
    longest: Duration,
}

/// The results of a load.
pub(super) struct Outcome {
    /// False if the last operation has not ended.
    pub(super) ended: bool,
    /// The number of blocks that were read back as written.
    pub(super) verified: u64,
    pub(super) slowest: Duration,
    pub(super) errors: Vec<String>,
}

impl Load {
    pub(super) fn start(device: &str) -> Result<Load> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_DIRECT.bits())
            .open(device)
            .with_context(|| device.to_owned())?;
        let shared = Arc::new(Shared::default());
        let thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            thread.run(&file);
            thread.ended.store(true, Ordering::Release);
        });
        Ok(Load { shared })
    }

    /// Starts no operation while `pause` is set.
    pub(super) fn pause(&self, pause: bool) {
        self.shared.pause.store(pause, Ordering::Relaxed);
    }

    /// The number of blocks verified so far.
    pub(super) fn verified(&self) -> u64 {
        self.shared.verified.load(Ordering::Relaxed)
    }

    /// Ends the load. Waits up to `limit` for the operation in flight.
    pub(super) fn stop(self, limit: Duration) -> Outcome {
        self.shared.stop.store(true, Ordering::Relaxed);
        let ended = wait_until(limit, || self.shared.ended.load(Ordering::Acquire));
        let shared = &self.shared;
        let timing = shared.timing.lock().map(|timing| *timing);
        let Timing { begin, longest } = timing.unwrap_or_default();
        let in_flight = begin.map_or(Duration::ZERO, |begin| begin.elapsed());
        let errors = shared.errors.lock().map(|errors| errors.clone());
        Outcome {
            ended,
            verified: self.verified(),
            slowest: longest.max(in_flight),
            errors: errors.unwrap_or_default(),
        }
    }
}

impl Shared {
    fn run(&self, file: &File) {
        let mut block = Box::new(Block([0; BLOCK]));
        for count in 1_u64.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(PAUSE);
            if self.pause.load(Ordering::Relaxed) {
                continue;
            }
            // 1021 and BLOCKS have no common factor: all blocks have their turn.
            let number = count.wrapping_mul(1021) % BLOCKS;
            match self.verify(file, &mut block, number, count) {
                Ok(()) => {
                    self.verified.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    if let Ok(mut errors) = self.errors.lock() {
                        errors.push(format!("block {number}: {error:#}"));
                    }
                }
            }
        }
    }

    /// Writes one block, reads it back and compares.
    fn verify(&self, file: &File, block: &mut Block, number: u64, count: u64) -> Result<()> {
        let offset = number * BLOCK as u64;
        fill(block, number, count);
        self.timed(|| file.write_all_at(&block.0, offset))
            .context("write")?;
        block.0.fill(0);
        self.timed(|| file.read_exact_at(&mut block.0, offset))
            .context("read")?;
        if !holds(block, number, count) {
            bail!("the data read differ from the data written");
        }
        Ok(())
    }

    fn timed<T>(&self, operation: impl FnOnce() -> std::io::Result<T>) -> std::io::Result<T> {
        let begin = Instant::now();
        if let Ok(mut timing) = self.timing.lock() {
            timing.begin = Some(begin);
        }
        let result = operation();
        if let Ok(mut timing) = self.timing.lock() {
            timing.begin = None;
            timing.longest = timing.longest.max(begin.elapsed());
        }
        result
    }
}

fn pattern(number: u64, count: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes
        .iter_mut()
        .zip(number.to_le_bytes().into_iter().chain(count.to_le_bytes()))
    {
        *to = from;
    }
    bytes
}

fn fill(block: &mut Block, number: u64, count: u64) {
    let pattern = pattern(number, count);
    for chunk in block.0.chunks_exact_mut(pattern.len()) {
        chunk.copy_from_slice(&pattern);
    }
}

fn holds(block: &Block, number: u64, count: u64) -> bool {
    let pattern = pattern(number, count);
    block
        .0
        .chunks_exact(pattern.len())
        .all(|chunk| chunk == pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_an_older_write_or_another_place_is_detected() {
        let mut block = Block([0; BLOCK]);
        fill(&mut block, 7, 9);
        assert!(holds(&block, 7, 9));
        assert!(!holds(&block, 7, 8));
        assert!(!holds(&block, 8, 9));
        block.0[BLOCK - 1] ^= 1;
        assert!(!holds(&block, 7, 9));
    }
}
